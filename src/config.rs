//! The operator's configuration file. Every field has a default; unknown fields are refused.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::lookup::looker::LookerConfig;
use crate::name::Name;
use crate::status::StaleAfter;

/// How the operator behaves. Durations are written as `10m`, `5s`, `120h`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Between two looks at a domain that is at rest; a tenth of it is jitter.
    #[serde(with = "duration")]
    pub recheck_interval: Duration,
    /// Between two looks while something is on its way.
    #[serde(with = "duration")]
    pub settle_interval: Duration,
    /// Between the two agreements of all authoritative servers that prove a key.
    #[serde(with = "duration")]
    pub proof_interval: Duration,
    /// For how long a key record stays when nobody declares it any more. Under five days only in private zones.
    #[serde(with = "duration")]
    pub key_drain: Duration,
    /// How long a verdict is kept while nobody can be asked; at least three looks.
    #[serde(with = "duration")]
    pub stale_after: Duration,
    /// Who creates claims.
    pub claims: ClaimMode,
    /// Keys made at the same time, each on a thread of its own.
    pub key_workers: usize,
    /// MailDomains looked after at the same time.
    pub concurrency: u16,
    /// Who leads, when several replicas run.
    pub leader_election: LeaderElection,
    /// How DNS is asked.
    pub dns: Dns,
}

/// Who creates claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ClaimMode {
    /// The operator, for the first MailDomain that asks.
    AutoFirstCome,
    /// Administrators.
    Manual,
}

/// Lease times, with the meaning that client-go gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    /// Whether to elect at all.
    pub enabled: bool,
    /// After how long without renewal another replica may take over.
    #[serde(with = "duration")]
    pub lease_duration: Duration,
    /// After how long without a successful renewal the leader gives up.
    #[serde(with = "duration")]
    pub renew_deadline: Duration,
    /// Between two tries.
    #[serde(with = "duration")]
    pub retry_period: Duration,
}

/// How DNS is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// Ask every authoritative server, or only the resolvers.
    pub mode: DnsMode,
    /// Root servers; empty: the Internet's.
    pub root_hints: Vec<IpAddr>,
    /// Validating resolvers that stand for receivers; empty: those of `/etc/resolv.conf`.
    pub resolvers: Vec<IpAddr>,
    /// Zones whose servers are given instead of found.
    pub zone_servers: BTreeMap<String, Vec<IpAddr>>,
    /// Zones where private and documentation addresses are in order, and short drains allowed.
    pub private_zones: Vec<String>,
    /// How long one question to one server may take.
    #[serde(with = "duration")]
    pub query_timeout: Duration,
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum DnsMode {
    /// Every authoritative server, then a resolver.
    Authoritative,
    /// The resolvers only, for clusters that may not send to port 53 of others.
    ResolverOnly,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recheck_interval: Duration::from_mins(10),
            settle_interval: Duration::from_secs(2),
            proof_interval: Duration::from_secs(5),
            key_drain: MIN_DRAIN,
            stale_after: Duration::from_mins(15),
            claims: ClaimMode::AutoFirstCome,
            key_workers: 1,
            concurrency: 16,
            leader_election: LeaderElection::default(),
            dns: Dns::default(),
        }
    }
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            enabled: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            mode: DnsMode::Authoritative,
            root_hints: Vec::new(),
            resolvers: Vec::new(),
            zone_servers: BTreeMap::new(),
            private_zones: Vec::new(),
            query_timeout: Duration::from_secs(3),
        }
    }
}

/// SMTP queues retry for four to five days (RFC 5321 section 4.5.4.1).
const MIN_DRAIN: Duration = Duration::from_hours(120);

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, an unknown field or a wrong type.
    #[error("failed to read the configuration: {0}")]
    Parse(String),
    /// A field that cannot be used.
    #[error("the configuration field {0} {1}")]
    Field(&'static str, String),
}

impl Config {
    /// Reads the file's text.
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let empty = yaml
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let config: Self = if empty {
            Self::default()
        } else {
            serde_saphyr::from_str(yaml).map_err(|error| ConfigError::Parse(error.to_string()))?
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.private_zones()?;
        self.zone_servers()?;
        let LeaderElection {
            enabled: _,
            lease_duration,
            renew_deadline,
            retry_period,
        } = &self.leader_election;
        if !(retry_period < renew_deadline && renew_deadline < lease_duration) {
            return Err(ConfigError::Field(
                "leaderElection",
                "needs retryPeriod < renewDeadline < leaseDuration".into(),
            ));
        }
        if self.key_workers == 0 || self.concurrency == 0 {
            return Err(ConfigError::Field(
                "keyWorkers and concurrency",
                "must be at least 1".into(),
            ));
        }
        Ok(())
    }

    /// The private zones, parsed.
    pub fn private_zones(&self) -> Result<Vec<Name>, ConfigError> {
        let parse = |zone: &String| {
            Name::parse(zone)
                .map_err(|e| ConfigError::Field("dns.privateZones", format!("holds \"{zone}\", which {e}")))
        };
        self.dns.private_zones.iter().map(parse).collect()
    }

    fn zone_servers(&self) -> Result<BTreeMap<Name, Vec<IpAddr>>, ConfigError> {
        let parse = |(zone, servers): (&String, &Vec<IpAddr>)| match Name::parse(zone) {
            Ok(zone) => Ok((zone, servers.clone())),
            Err(e) => Err(ConfigError::Field(
                "dns.zoneServers",
                format!("holds \"{zone}\", which {e}"),
            )),
        };
        self.dns.zone_servers.iter().map(parse).collect()
    }

    /// What the looker needs; `resolv_conf` stands in for missing resolvers.
    pub fn looker(&self, resolv_conf: &str) -> Result<LookerConfig, ConfigError> {
        let mut resolvers = self.dns.resolvers.clone();
        if resolvers.is_empty() {
            let addresses = resolv_conf
                .lines()
                .filter_map(|line| line.trim().strip_prefix("nameserver"));
            resolvers.extend(addresses.filter_map(|address| address.trim().parse::<IpAddr>().ok()));
        }
        Ok(LookerConfig {
            root_hints: self.dns.root_hints.clone(),
            resolvers,
            zone_servers: self.zone_servers()?,
            resolver_only: self.dns.mode == DnsMode::ResolverOnly,
            query_timeout: self.dns.query_timeout,
            ..LookerConfig::default()
        })
    }

    /// How long a key record of this domain drains: five days at least, but in private zones.
    pub fn drain(&self, private: bool) -> jiff::SignedDuration {
        let drain = if private {
            self.key_drain
        } else {
            self.key_drain.max(MIN_DRAIN)
        };
        jiff::SignedDuration::try_from(drain).unwrap_or(jiff::SignedDuration::from_hours(120))
    }

    /// When a verdict that cannot be renewed becomes Unknown.
    pub fn stale(&self) -> StaleAfter {
        let time =
            jiff::SignedDuration::try_from(self.stale_after).unwrap_or(jiff::SignedDuration::from_mins(15));
        StaleAfter { misses: 3, time }
    }
}

/// Reads `1h30m`, `10s`, `250ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = if rest.starts_with("ms") {
            (Duration::from_millis(1), 2)
        } else {
            let unit = match rest.bytes().next()? {
                b'h' => Duration::from_hours(1),
                b'm' => Duration::from_mins(1),
                b's' => Duration::from_secs(1),
                _ => return None,
            };
            (unit, 1)
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[length..];
    }
    Some(total)
}

mod duration {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<std::time::Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "\"{text}\" is not a duration; write it as 10m, 5s or 120h"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(
            Config::parse("# nothing\n").unwrap().recheck_interval,
            Duration::from_mins(10)
        );
    }

    #[test]
    fn durations_are_read_as_kubernetes_writes_them() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "10", "m", "10x", "-1s", "99999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (yaml, word) in [
            ("recheckIntervall: 10m", "recheckIntervall"),
            ("recheckInterval: 10", "duration"),
            ("dns: {privateZones: [\"a b\"]}", "dns.privateZones"),
            ("leaderElection: {leaseDuration: 1s}", "leaderElection"),
            ("keyWorkers: 0", "keyWorkers"),
        ] {
            let error = Config::parse(yaml).unwrap_err().to_string();
            assert!(error.contains(word), "{yaml}: {error}");
        }
    }

    #[test]
    fn short_drains_are_for_private_zones() {
        let config = Config::parse("keyDrain: 10s").unwrap();
        assert_eq!(config.drain(true).as_secs(), 10);
        assert_eq!(config.drain(false).as_hours(), 120);
    }

    #[test]
    fn resolvers_come_from_resolv_conf_when_none_are_given() {
        let config = Config::default()
            .looker("search a.b\nnameserver 192.0.2.9\n")
            .unwrap();
        assert_eq!(config.resolvers, ["192.0.2.9".parse::<IpAddr>().unwrap()]);
    }
}
