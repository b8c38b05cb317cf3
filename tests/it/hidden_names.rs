//! Hidden files stay hidden on file systems that find a file by more than one name.

use std::{path::Path, process::Command};

use crate::common::*;

/// Dotfiles with the other names that vfat and case-insensitive directories have for them, and
/// visible files.
const NODES: &[Node] = &[
    Node { parent: 1, name: ".git", aliases: &["GIT~1", "\u{200b}.git"], content: None },
    Node { parent: 2, name: "config", aliases: &["CONFIG"], content: Some("secret\n") },
    Node { parent: 1, name: ".env", aliases: &["ENV~1", "\u{ad}.env"], content: Some("secret\n") },
    Node { parent: 1, name: "a.txt", aliases: &["A.TXT", "\u{200b}a.txt"], content: Some("hi\n") },
    Node { parent: 1, name: ".well-known", aliases: &["WELL-K~1"], content: None },
    Node { parent: 6, name: "x", aliases: &[], content: Some("hi\n") },
    Node { parent: 1, name: "\u{e4}", aliases: &[], content: None },
    Node { parent: 8, name: "page.html", aliases: &["PAGE~1.HTM"], content: Some("hi\n") },
    Node { parent: 8, name: ".page.html", aliases: &["HIDDEN.html"], content: Some("secret\n") },
    Node { parent: 1, name: "b.txt", aliases: &[], content: Some("hi\n") },
    Node { parent: 1, name: ".b.txt.gz", aliases: &["b.txt.gz"], content: Some("secret\n") },
];

const HIDDEN: [&str; 12] = [
    "/.git/config",
    "/GIT~1",
    "/GIT~1/",
    "/GIT~1/config",
    "/GIT~1/CONFIG",
    "/%E2%80%8B.git/config",
    "/%E2%80%8B.git/",
    "/.env",
    "/ENV~1",
    "/%C2%AD.env",
    "/%C3%A4/HIDDEN.html",
    "/%C3%A4/HIDDEN",
];
const VISIBLE: [&str; 8] = [
    "/a.txt",
    "/A.TXT",
    "/%E2%80%8Ba.txt",
    "/.well-known/x",
    "/WELL-K~1/x",
    "/%C3%A4/page",
    "/%C3%A4/PAGE~1.HTM",
    "/b.txt",
];

#[test]
fn hidden_file_is_not_served_under_another_name() {
    let Some(fs) = AliasFs::mount(NODES) else { return };
    for args in [&[][..], &["--no-watch"], &["--follow-links"]] {
        let server = Server::on(fs.path(), &[args, &["--clean-urls", "--listing"]].concat());
        for path in HIDDEN {
            assert_eq!(server.get(path).status, 404, "{path} {args:?}");
        }
        for path in VISIBLE {
            for time in ["first", "second"] {
                let response = server.get(path);
                assert_eq!(
                    (response.status, response.text()),
                    (200, "hi\n".into()),
                    "{path} {time} {args:?}"
                );
            }
        }
        let variant = server.ask("GET /b.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!((variant.status, variant.text()), (200, "hi\n".into()), "{args:?}");
    }
}

#[test]
fn hidden_file_is_served_under_each_of_its_names_if_the_operator_allows_it() {
    let Some(fs) = AliasFs::mount(NODES) else { return };
    let server = Server::on(fs.path(), &["--hidden"]);
    for path in ["/.env", "/ENV~1", "/%C2%AD.env", "/GIT~1/config"] {
        assert_eq!(server.get(path).text(), "secret\n", "{path}");
    }
}

impl Mount {
    /// Makes a file system with the command `mkfs`, and mounts it at `path`. Returns `None` and
    /// reports that the test is skipped if this machine cannot do that.
    fn image(mkfs: &[&str], options: &str, image: &Path, path: &Path) -> Option<Mount> {
        std::fs::create_dir_all(path).expect("a directory");
        std::fs::File::create(image).and_then(|file| file.set_len(40 << 20)).expect("an image");
        let mut make = Command::new(mkfs[0]);
        make.args(&mkfs[1..]).arg(image);
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).args([image, path]);
        for mut command in [make, mount] {
            match command.output() {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let why = String::from_utf8_lossy(&output.stderr).into_owned();
                    skip_for_kernel(&format!("{command:?}: {}", why.lines().next().unwrap_or_default()));
                    return None;
                }
                Err(e) => {
                    skip(&format!("{command:?}: {e}"));
                    return None;
                }
            }
        }
        Some(Mount::at(path))
    }
}

/// The site is on an ordinary file system, and another one is mounted inside.
fn assert_hidden_in_mount(site: &Site, paths: &[&str]) {
    for (name, content) in [(".git/config", "secret\n"), (".env", "secret\n"), ("a.txt", "hi\n")] {
        site.write(format!("mount/{name}"), content);
    }
    for (server, base) in [(Server::start(site), "/mount"), (Server::on(&site.at("mount"), &[]), "")] {
        for path in paths {
            assert_eq!(server.get(&format!("{base}{path}")).status, 404, "{base}{path}");
        }
        for path in ["/a.txt", "/A.TXT"] {
            assert_eq!(server.get(&format!("{base}{path}")).text(), "hi\n", "{base}{path}");
        }
    }
}

#[test]
fn hidden_file_of_vfat_is_not_served_under_its_short_name() {
    let (site, images) = (Site::empty(), Site::empty());
    let mkfs = ["mkfs.vfat"];
    let mounted = Mount::image(&mkfs, "loop,utf8", &images.at("vfat"), &site.at("mount"));
    let Some(_mounted) = mounted else { return };
    assert_hidden_in_mount(&site, &["/GIT~1/config", "/git~1/config", "/ENV~1", "/.GIT/config"]);
}

#[test]
fn hidden_file_of_a_casefolded_directory_is_not_served_under_an_equal_name() {
    let (site, images) = (Site::empty(), Site::empty());
    let mkfs = ["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"];
    let mounted = Mount::image(&mkfs, "loop", &images.at("ext4"), &site.at("mount"));
    let Some(_mounted) = mounted else { return };
    std::fs::remove_dir(site.at("mount/lost+found")).expect("remove it");
    let folded = Command::new("chattr").arg("+F").arg(site.at("mount")).status();
    assert!(folded.is_ok_and(|status| status.success()), "chattr +F");
    assert_hidden_in_mount(&site, &["/%E2%80%8B.git/config", "/%C2%AD.env", "/.GIT/config"]);
}
