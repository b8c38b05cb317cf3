//! The sites whose changes pages notice: the main site, and those that are mounted in it.

use std::{cell::Cell, rc::Rc, time::Instant};

use crate::{
    clock::Clock,
    http::Representation,
    site::{Site, TreeChange},
    site_path::SitePath,
};

/// The number of pieces of a site's work that the server does when it starts, about 20 ms.
const START_PIECES: usize = 100;

/// The sites, the main site first. Each of them numbers its bursts of changes.
pub struct LiveSites {
    sites: Vec<LiveSite>,
}

/// A site, and where its files are in the main site.
struct LiveSite {
    site: Rc<Site<Representation>>,
    mounted_at: SitePath<'static>,
    /// When the site has work to do.
    due: Cell<Instant>,
}

impl LiveSites {
    /// Begins to observe `sites`, each with the directory of the main site at which it is mounted.
    pub fn new(
        sites: impl Iterator<Item = (SitePath<'static>, Rc<Site<Representation>>)>,
        clock: &Clock,
    ) -> LiveSites {
        let due = Cell::new(clock.now());
        let sites = sites.map(|(mounted_at, site)| {
            // A change before the first exploration would go unnoticed, so explore small sites at
            // once.
            for _ in 0..START_PIECES {
                if site.change_number().is_some() {
                    break;
                }
                site.explore(clock);
            }
            LiveSite { site, mounted_at, due: due.clone() }
        });
        LiveSites { sites: sites.collect() }
    }

    /// Returns the number of sites.
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Returns when the first of the sites has work to do, if there is a site.
    pub fn due(&self) -> Option<Instant> {
        self.sites.iter().map(|site| site.due.get()).min()
    }

    /// Does a piece of the work of the site that has waited longest.
    pub fn explore(&self, clock: &Clock) {
        if let Some(LiveSite { site, due, .. }) = self.sites.iter().min_by_key(|site| site.due.get()) {
            due.set(site.explore(clock));
        }
    }

    /// Returns whether a site has noticed a change. That site has work to do now.
    pub fn take_became_due(&self, clock: &Clock) -> bool {
        let mut became_due = false;
        for LiveSite { site, due, .. } in &self.sites {
            if site.take_became_due(clock) {
                due.set(clock.now());
                became_due = true;
            }
        }
        became_due
    }

    /// Returns the number of the last burst of each site, or `None` until all have been explored.
    pub fn numbers(&self) -> Option<Vec<u64>> {
        self.sites.iter().map(|site| site.site.change_number()).collect()
    }

    /// Returns what has changed after these bursts, one for each site.
    pub fn changes_since(&self, numbers: &[u64]) -> TreeChange {
        let sites = self.sites.iter().zip(numbers);
        sum(sites.map(|(site, number)| site.place(site.site.changes_since(*number))))
    }

    /// Returns what has changed at `time` or later.
    pub fn changes_since_time(&self, time: Instant) -> TreeChange {
        sum(self.sites.iter().map(|site| site.place(site.site.changes_since_time(time))))
    }
}

fn sum(changes: impl Iterator<Item = TreeChange>) -> TreeChange {
    changes.fold(TreeChange::NOTHING, |mut sum, change| {
        sum.add(&change);
        sum
    })
}

impl LiveSite {
    /// Returns the `change` with the paths of the main site.
    fn place(&self, change: TreeChange) -> TreeChange {
        let at = self.mounted_at.bytes();
        let TreeChange::Paths(paths) = change else { return TreeChange::Everything };
        let is_file = self.site.options().file.is_some();
        let place = |path: Box<[u8]>| match at.split_last() {
            None => path,
            Some((_, file)) if is_file => file.into(),
            Some(_) => [at, &*path].concat().into(),
        };
        TreeChange::Paths(paths.into_iter().map(place).collect())
    }
}
