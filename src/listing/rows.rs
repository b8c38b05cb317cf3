//! The rows of a listing. They are added in any order and removed in sorted order, without one long
//! sort that would block the loop.
//!
//! Consecutive rows form a run, which is sorted when it is full. The runs are merged while rows are
//! removed. The names in a run share one allocation, so that freeing many rows is fast.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
    time::SystemTime,
};

use super::natural;

/// One row of a listing: a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The name: any bytes except NUL and slash.
    pub name: &'a [u8],
    pub is_directory: bool,
    /// The length in bytes, or 0 for a directory.
    pub len: u64,
    pub modified: Option<SystemTime>,
}

/// The column that the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    #[default]
    Name,
    Size,
    Modified,
}

/// The order of the rows. Directories always come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    pub by: SortKey,
    pub is_descending: bool,
}

impl Order {
    /// Parses a query such as `sort=name|size|modified&order=asc|desc`. Ignores unknown parameters.
    pub fn parse(query: Option<&[u8]>) -> Order {
        let mut order = Order::default();
        for parameter in query.unwrap_or_default().split(|b| *b == b'&') {
            match parameter {
                b"sort=name" => order.by = SortKey::Name,
                b"sort=size" => order.by = SortKey::Size,
                b"sort=modified" => order.by = SortKey::Modified,
                b"order=asc" => order.is_descending = false,
                b"order=desc" => order.is_descending = true,
                _ => {}
            }
        }
        order
    }

    /// Compares two rows. Breaks ties by name, first ignoring ASCII case.
    fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        let ascending = match self.by {
            SortKey::Name => Ordering::Equal,
            SortKey::Size => a.len.cmp(&b.len),
            SortKey::Modified => a.modified.cmp(&b.modified),
        }
        .then_with(|| natural::compare(a.name, b.name))
        .then_with(|| a.name.cmp(b.name));
        let ordering = if self.is_descending { ascending.reverse() } else { ascending };
        b.is_directory.cmp(&a.is_directory).then(ordering)
    }
}

/// The number of rows in a run.
const RUN: usize = 256;

/// What the rows of a listing add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub directories: usize,
    pub files: usize,
    /// The length of all files in bytes.
    pub len: u64,
}

/// The rows of a listing that have not been removed yet.
#[derive(Debug, Default)]
pub struct Rows {
    order: Order,
    /// What all added rows add up to, those that have been removed included.
    totals: Totals,
    /// The run that rows are added to.
    open: Run,
    /// The sorted runs. The run with the next row is on top of the heap.
    sorted: BinaryHeap<Run>,
}

impl Rows {
    /// Creates an empty collection that sorts rows in this order.
    pub fn new(order: Order) -> Rows {
        Rows { order, open: Run { order, ..Run::default() }, ..Rows::default() }
    }

    /// Adds a row.
    pub fn put(&mut self, row: Row<'_>) {
        self.open.put(row);
        let count = if row.is_directory { &mut self.totals.directories } else { &mut self.totals.files };
        *count += 1;
        self.totals.len = self.totals.len.saturating_add(row.len);
        if self.open.places.len() == RUN {
            self.seal();
        }
    }

    /// Returns what all rows that have been added add up to.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Removes the next row and passes it to `then`. Returns whether there was a row.
    pub fn take(&mut self, then: impl FnOnce(&Row<'_>)) -> bool {
        self.seal();
        let Some(mut run) = self.sorted.peek_mut() else { return false };
        if let Some(place) = run.places.pop() {
            then(&run.row(&place));
        }
        if run.places.is_empty() {
            PeekMut::pop(run);
        }
        true
    }

    /// Sorts the open run and starts a new one.
    fn seal(&mut self) {
        if self.open.places.is_empty() {
            return;
        }
        let empty = Run { order: self.order, ..Run::default() };
        let mut run = std::mem::replace(&mut self.open, empty);
        let mut places = std::mem::take(&mut run.places);
        places.sort_unstable_by(|a, b| run.order.compare(&run.row(b), &run.row(a)));
        self.sorted.push(Run { places, ..run });
    }
}

/// A run of rows. In a sorted run, the next row to remove is last.
#[derive(Debug, Default)]
struct Run {
    order: Order,
    names: Vec<u8>,
    places: Vec<StoredRow>,
}

/// A row whose name is a range of its run's `names`.
#[derive(Debug, Clone, Copy)]
struct StoredRow {
    name: (u32, u32),
    is_directory: bool,
    len: u64,
    modified: Option<SystemTime>,
}

impl Run {
    fn put(&mut self, row: Row<'_>) {
        let start = self.names.len() as u32; // at most RUN names, so it fits
        self.names.extend_from_slice(row.name);
        let name = (start, self.names.len() as u32);
        let Row { is_directory, len, modified, .. } = row;
        self.places.push(StoredRow { name, is_directory, len, modified });
    }

    fn row(&self, place: &StoredRow) -> Row<'_> {
        let StoredRow { name: (start, end), is_directory, len, modified } = *place;
        Row { name: &self.names[start as usize..end as usize], is_directory, len, modified }
    }

    fn next(&self) -> Option<Row<'_>> {
        self.places.last().map(|place| self.row(place))
    }
}

/// Orders runs so that the run whose next row comes first is the greatest. The heap keeps the
/// greatest run on top.
impl Ord for Run {
    fn cmp(&self, other: &Run) -> Ordering {
        match (self.next(), other.next()) {
            (Some(a), Some(b)) => self.order.compare(&b, &a),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

impl PartialOrd for Run {
    fn partial_cmp(&self, other: &Run) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Run) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Run {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(rows: &mut Rows) -> Vec<String> {
        let mut names = Vec::new();
        while rows.take(|row| names.push(String::from_utf8_lossy(row.name).into_owned())) {}
        names
    }

    #[test]
    fn rows_are_sorted() {
        let table = [
            ("", "Dir sub a B b c"),
            ("sort=name&order=desc", "sub Dir c b B a"),
            ("sort=size", "Dir sub c a B b"),
            ("order=desc&sort=size", "sub Dir b B a c"),
            ("sort=modified", "Dir sub b a c B"),
            ("sort=modified&order=desc", "sub Dir B c a b"),
            ("sort=colour&x&order=up&=", "Dir sub a B b c"),
        ];
        for (query, expected) in table {
            let mut rows = Rows::new(Order::parse(Some(query.as_bytes())));
            for (name, is_directory, len, seconds) in [
                ("b", false, 9, 0),
                ("sub", true, 0, 5),
                ("B", false, 9, 7),
                ("c", false, 1, 6),
                ("Dir", true, 0, 5),
                ("a", false, 2, 5),
            ] {
                let modified = (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
                rows.put(Row { name: name.as_bytes(), is_directory, len, modified });
            }
            assert_eq!(rows.totals(), Totals { directories: 2, files: 4, len: 21 });
            assert_eq!(names(&mut rows).join(" "), expected, "{query:?}");
            assert_eq!(rows.totals().files, 4, "rows that are removed count");
        }
    }

    #[test]
    fn rows_of_many_runs_are_merged() {
        for count in [0, 1, RUN - 1, RUN, RUN + 1, 10 * RUN + 7] {
            for is_descending in [false, true] {
                let mut rows = Rows::new(Order { by: SortKey::Name, is_descending });
                for i in 0..count {
                    let name = format!("{:05}", i * 7919 % count);
                    rows.put(Row { name: name.as_bytes(), is_directory: false, len: 0, modified: None });
                }
                let mut expected: Vec<_> = (0..count).map(|i| format!("{i:05}")).collect();
                if is_descending {
                    expected.reverse();
                }
                assert!(names(&mut rows) == expected, "{count} {is_descending}");
            }
        }
    }
}
