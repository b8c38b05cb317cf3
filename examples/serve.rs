//! The course's server class, as a library: create it with a host, a port and a directory, and call
//! `serve_forever()`.
use oneloop::HttpServer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut httpd = HttpServer::new("127.0.0.1", 8000, "static")?;
    println!("http://{}/", httpd.addresses()[0]);
    httpd.serve_forever()?;
    Ok(())
}
