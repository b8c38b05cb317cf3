//! `--step-script`: a session that runs without a user.

use super::*;

/// Returns a line without the parts that differ between runs.
fn masked(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(masked_fact).collect();
    for at in 1..words.len() {
        if ["after", "in"].contains(&&*words[at - 1]) && words[at].starts_with(|c: char| c.is_ascii_digit()) {
            let is_end = words[at].ends_with(':');
            words[at] = if is_end { "_:".into() } else { "_".into() };
        }
    }
    words.join(" ")
}

#[test]
fn stepper_script_prints_the_same_each_time() {
    let site = Site::new();
    let script = "quiz on\nt\nt\np c1\nt\nb eof\nt\nn\np\nb close\nd 1\nc\n";
    site.write("script", script);
    let script = site.at("script");
    // With one listener, the output is the same on a machine without IPv6.
    let args = ["--bind", "127.0.0.1", "--step-script", script.to_str().expect("UTF-8")];
    let mut server = Server::with(&site, &args);
    let mut client = server.connect();
    let request = get("/hello.txt");
    client.send(&request);
    let response = client.response();
    client.finish();
    let mut output = Vec::new();
    loop {
        let line = server.stdout_line();
        if line.is_empty() {
            break;
        }
        output.push(masked(line.trim_end()));
    }
    assert!(server.exit().success());
    let (len, head) = (request.len(), response.head_len());
    let sent = head + 6;
    let golden = include_str!("script.txt")
        .replace("{len}", &len.to_string())
        .replace("{head}", &head.to_string())
        .replace("{sent}", &sent.to_string());
    assert_eq!(output.join("\n") + "\n", golden);
}
