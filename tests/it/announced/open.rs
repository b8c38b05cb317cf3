//! `--open`: the browser of the desktop opens a page of the site. The browser here is a script that
//! fetches the URL with the request of a real client, and writes down what it was given.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    common::*,
    configuration::{assert_usage_error, run},
};

/// Writes the program `name`, which appends its arguments to the file `opened`.
fn write_program(site: &Site, name: &str) {
    let opened = site.at("opened");
    site.write(name, format!("#!/bin/sh\necho \"$0 $*\" >>'{}'\n", opened.display()));
    fs::set_permissions(site.at(name), fs::Permissions::from_mode(0o755)).expect("make it executable");
}

/// Starts a server with `args`, and with `vars` besides a PATH that has `bin` of the site first.
fn serve(site: &Site, args: &[&str], vars: &[(&str, &str)]) -> Server {
    let mut command = Server::command(site.path(), args);
    let path = format!("{}:/usr/bin:/bin", site.at("bin").display());
    command.env_clear().env("PATH", path).envs(vars.iter().copied());
    Server::spawn(command)
}

/// Waits for the line that the program writes.
fn opened(site: &Site) -> String {
    let mut line = String::new();
    eventually("the browser is started", || {
        line = fs::read_to_string(site.at("opened")).unwrap_or_default();
        line.ends_with('\n')
    });
    line
}

/// Returns how many children the process has, zombies included.
fn children(pid: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    children.split_whitespace().count()
}

#[test]
fn open_starts_the_browser_of_the_desktop() {
    let site = Site::new();
    write_program(&site, "bin/xdg-open");
    for (args, page) in [
        (&["--open"][..], ""),
        (&["--open=/docs/a b?x#y"], "docs/a%20b?x#y"),
        (&["--open", "--bind", "0.0.0.0"], ""),
        (&["--open=docs", "--base-path", "/app"], "app/docs"),
    ] {
        let server = serve(&site, args, &[("DISPLAY", ":7")]);
        let line = opened(&site);
        let url = line.trim_end().rsplit_once(' ').expect("a URL").1;
        assert_eq!(url, format!("http://127.0.0.1:{}/{page}", server.addr().port()), "{line}");
        assert!(line.starts_with(&*site.at("bin/xdg-open").to_string_lossy()), "{line}");
        assert_eq!(server.get("/app/").status / 100, if page.starts_with("app") { 2 } else { 4 });
        assert_eq!(children(server.pid()), 0, "it is not a child of the server");
        fs::remove_file(site.at("opened")).expect("remove");
    }
}

#[test]
fn open_prefers_the_variable_browser() {
    let site = Site::new();
    for program in ["bin/xdg-open", "bin/mine"] {
        write_program(&site, program);
    }
    // Over SSH there is no display, but an editor sets BROWSER to a program that opens the URL at
    // the other end.
    let server = serve(&site, &["--open"], &[("BROWSER", "no-such-browser:mine --tab %s")]);
    let expected = format!(" --tab http://127.0.0.1:{}/\n", server.addr().port());
    assert_eq!(opened(&site), format!("{}{expected}", site.at("bin/mine").display()));
}

#[test]
fn open_without_a_browser_only_warns() {
    let site = Site::new();
    // A PATH with a shell and nothing else.
    fs::create_dir(site.at("bin")).expect("create");
    std::os::unix::fs::symlink(Path::new("/bin/sh"), site.at("bin/sh")).expect("link");
    for (vars, warning) in [
        (&[][..], "this session has no display"),
        (&[("DISPLAY", ":7")], "no program opens URLs here"),
        (&[("BROWSER", "no-such-browser")], "no program opens URLs here"),
        (&[("DISPLAY", ":7"), ("PATH", "/no-such-directory")], "cannot run sh"),
    ] {
        let mut command = Server::command(site.path(), &["--open"]);
        command.env_clear().env("PATH", site.at("bin")).envs(vars.iter().copied());
        let mut server = Server::spawn(command);
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        let url = server.lines[0].clone();
        let mut stderr = server.stderr();
        server.signal(rustix::process::Signal::TERM);
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("read its log");
        assert!(text.contains(warning) && text.contains(&url), "{vars:?}: {text}");
    }
}

#[test]
fn open_needs_a_path_and_an_address() {
    let site = Site::new();
    let refused = |args: &[&str], named: &[&str]| {
        assert_usage_error(&run(site.path(), &[args, &["."]].concat(), &[]), named);
    };
    refused(&["--open=http://a.example/"], &["--open", "path of the site"]);
    refused(&["--open", "--bind", "unix:a.sock"], &["--open", "--bind localhost"]);
    assert!(!site.at("a.sock").exists());
}

/// Ctrl-C at the terminal goes to the whole process group of the server.
#[test]
fn open_keeps_the_browser_out_of_the_process_group() {
    let site = Site::new();
    site.write("bin/xdg-open", "#!/bin/sh\nread _ _ _ _ group _ </proc/$$/stat\necho $group >\"$OPENED\"\n");
    fs::set_permissions(site.at("bin/xdg-open"), fs::Permissions::from_mode(0o755)).expect("executable");
    let file = site.at("opened");
    let vars = [("DISPLAY", ":7"), ("OPENED", file.to_str().expect("UTF-8"))];
    let server = serve(&site, &["--open"], &vars);
    let group: i32 = opened(&site).trim().parse().expect("a number");
    let own =
        rustix::process::getpgid(rustix::process::Pid::from_raw(server.pid() as i32)).expect("its group");
    assert_ne!(group, own.as_raw_nonzero().get());
}
