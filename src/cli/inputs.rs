//! What commands read: files of objects, and the operator's configuration of how DNS is asked. (files)

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::documents::{self, Declared, Documents, Mistake};
use super::memory::Memory;
use super::subject::Subject;
use crate::config::{Config, ConfigError};
use crate::lookup::looker::{Looker, LookerConfig};
use crate::name::Name;

/// Why something cannot be read or used.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be read.
    #[error("failed to read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// The documents have mistakes, one a line.
    #[error("{0}")]
    Mistakes(String),
    /// The configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// Nothing is declared.
    #[error("the files hold RecordLedgers and no MailDomain; name the MailDomain's file too")]
    OnlyLedgers,
}

/// How a command asks DNS.
#[derive(Debug)]
pub(super) struct Setting {
    /// The operator's configuration, or its defaults.
    pub(super) config: Config,
    /// Asks as it says; a configuration without resolvers takes those of this machine.
    pub(super) looker: Looker,
    private_zones: Vec<Name>,
}

impl Setting {
    /// Whether private and documentation addresses are in order there.
    pub(super) fn is_private(&self, domain: &Name) -> bool {
        self.private_zones.iter().any(|zone| domain.is_within(zone))
    }
}

/// Reads the configuration.
pub(super) fn setting(config: Option<&Path>, port: u16) -> Result<Setting, Failure> {
    let config = Config::parse(&config.map(text_of).transpose()?.unwrap_or_default())?;
    let private_zones = config.private_zones()?;
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let looker = LookerConfig {
        port,
        ..config.looker(&resolv_conf)?
    };
    Ok(Setting {
        looker: Looker::new(looker),
        config,
        private_zones,
    })
}

/// The MailDomains of all files, each with its ledger if there is one.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<Subject>, Failure> {
    let mut read = Documents::default();
    let mut mistakes: Vec<Mistake> = Vec::new();
    for file in files {
        let (called, text) = if file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::Read("standard input".into(), error))?;
            ("standard input".to_owned(), text)
        } else {
            (file.display().to_string(), text_of(file)?)
        };
        match documents::read(&called, &text) {
            Ok(found) => {
                read.declared.extend(found.declared);
                read.ledgers.extend(found.ledgers);
            }
            Err(found) => mistakes.extend(found),
        }
    }
    if !mistakes.is_empty() {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        return Err(Failure::Mistakes(lines.join("\n")));
    }
    if read.declared.is_empty() {
        return Err(Failure::OnlyLedgers);
    }
    let Documents { declared, ledgers } = read;
    let subject = |declared: Declared| {
        let ledger = ledgers
            .iter()
            .find(|ledger| ledger.domain == declared.intent.domain.as_str());
        Subject {
            memory: ledger.map(|ledger| Memory::of(&declared.intent.domain, ledger)),
            declared,
        }
    };
    Ok(declared.into_iter().map(subject).collect())
}

fn text_of(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Read(path.to_owned(), error))
}
