//! Where the stepper refuses to start: without a terminal, or if other machines can connect.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::common::*;

/// Runs the program without a terminal until it exits by itself.
fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(["--port", "0"]).args(args).arg(".");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start oneloop");
    eventually("the program exits", || child.try_wait().expect("poll the process").is_some());
    child.wait_with_output().expect("read its output")
}

#[test]
fn stepper_refuses_to_start_without_a_terminal_or_in_public() {
    let site = Site::new();
    site.write("script", "t\n");
    let script = "--step-script=script";
    each(
        [
            (&["--step"][..], "--step-script"),
            (&["--step", "--step-script=missing"], "'missing'"),
            (&["--step-script=."], "'.'"),
            (&[script, "--bind", "0.0.0.0"], "0.0.0.0:"),
            (&[script, "--bind", "127.0.0.1", "--bind", "0.0.0.0"], "0.0.0.0:"),
            (&[script, "--udp-echo", "0.0.0.0:0"], "0.0.0.0:"),
        ],
        |(args, named)| {
            let Output { status, stdout, stderr } = run(site.path(), args);
            let stderr = String::from_utf8_lossy(&stderr);
            assert_eq!((status.code(), lossy(&stdout)), (Some(2), String::new()), "{stderr}");
            assert!(stderr.trim_end().lines().count() == 1 && stderr.contains(named), "{stderr}");
        },
    );
}
