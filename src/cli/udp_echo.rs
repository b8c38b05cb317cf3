//! The value of `--udp-echo`: an address, and the faults to add.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oneloop::Impairment;

/// An address, and the faults that the echo adds: `127.0.0.1:9000,loss=30%,seed=7`.
#[derive(Debug, Clone, PartialEq)]
pub struct UdpEchoArg {
    /// The address to listen on, which has not been resolved.
    pub address: String,
    /// The faults, without a seed.
    faults: Impairment,
    /// The seed, if one was given.
    pub seed: Option<u64>,
}

impl UdpEchoArg {
    /// Returns the faults. Without a seed, `now` gives one that is short enough to be typed.
    pub fn impairment(&self, now: SystemTime) -> Impairment {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = self.seed.unwrap_or_else(|| since_epoch.subsec_micros().into());
        Impairment { seed, ..self.faults }
    }
}

impl FromStr for UdpEchoArg {
    type Err = String;

    fn from_str(text: &str) -> Result<UdpEchoArg, String> {
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default().to_owned();
        let mut arg = UdpEchoArg { address, faults: Impairment::default(), seed: None };
        let mut seen: Vec<&str> = Vec::new();
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if seen.contains(&name) {
                return Err(format!("use {name} once"));
            }
            seen.push(name);
            match name {
                "loss" => arg.faults.loss = probability(name, value)?,
                "duplicate" => arg.faults.duplicate = probability(name, value)?,
                "delay" => arg.faults.delay = time(name, value)?,
                "jitter" => arg.faults.jitter = time(name, value)?,
                "seed" => arg.seed = Some(value.parse().map_err(|_| "use a whole number, such as seed=7")?),
                _ => {
                    return Err(
                        "after the address, use loss=30%, delay=100ms, jitter=20ms, duplicate=5% or seed=7"
                            .into(),
                    );
                }
            }
        }
        Ok(arg)
    }
}

/// Parses a percentage and returns it as a number from 0 to 1.
fn probability(name: &str, value: &str) -> Result<f64, String> {
    let percent = value.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let in_range = percent.filter(|percent| (0.0..=100.0).contains(percent));
    in_range
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("use a percentage from 0% to 100%, such as {name}=30%"))
}

fn time(name: &str, value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value).map_err(|_| format!("use a number and a unit, such as {name}=100ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn udp_echo_arg_has_an_address_and_faults() {
        let none = Impairment::default();
        let table = [
            ("127.0.0.1:9", "127.0.0.1:9", none),
            ("[::1]:9,loss=30%", "[::1]:9", Impairment { loss: 0.3, ..none }),
            (
                "h:9,seed=7,jitter=20ms,duplicate=0.5%,delay=1s 100ms,loss=100%",
                "h:9",
                Impairment { loss: 1.0, duplicate: 0.005, delay: 1100 * MS, jitter: 20 * MS, seed: 7 },
            ),
            ("h:9,delay=0,seed=18446744073709551615", "h:9", Impairment { seed: u64::MAX, ..none }),
        ];
        for (text, address, impairment) in table {
            let arg: UdpEchoArg = text.parse().expect(text);
            assert_eq!((arg.address.as_str(), arg.impairment(UNIX_EPOCH)), (address, impairment), "{text}");
        }
    }

    #[test]
    fn udp_echo_arg_without_a_seed_takes_one_from_the_time() {
        let arg = |text: &str| text.parse::<UdpEchoArg>().expect(text);
        let seed = |text, ms| arg(text).impairment(UNIX_EPOCH + ms * MS).seed;
        assert_eq!((seed("h:9,loss=1%", 1001), seed("h:9,loss=1%", 1002)), (1000, 2000));
        assert_eq!((seed("h:9,seed=0", 1001), arg("h:9,seed=0").seed, arg("h:9").seed), (0, Some(0), None));
    }

    #[test]
    fn udp_echo_arg_says_what_to_write() {
        let table = [
            ("h:9,", "loss=30%, delay=100ms"),
            ("h:9,lose=30%", "loss=30%, delay=100ms"),
            ("h:9,loss", "such as loss=30%"),
            ("h:9,loss=30", "such as loss=30%"),
            ("h:9,loss=101%", "from 0% to 100%"),
            ("h:9,loss=-1%", "from 0% to 100%"),
            ("h:9,loss=nan%", "from 0% to 100%"),
            ("h:9,duplicate=x%", "such as duplicate=30%"),
            ("h:9,delay=100", "such as delay=100ms"),
            ("h:9,jitter=", "such as jitter=100ms"),
            ("h:9,seed=-1", "such as seed=7"),
            ("h:9,seed=7,seed=8", "use seed once"),
        ];
        for (text, advice) in table {
            let error = text.parse::<UdpEchoArg>().expect_err(text);
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
