//! `maildomain plan`: what would be done for the MailDomains of a file, without a cluster. (files, network)

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::documents::{self, Declared, Documents, Mistake};
use super::memory::Memory;
use super::preview::{self, Preview, Seen, When};
use super::show::{self, Counts};
pub use super::show::{Output, ShowError};
use super::subject::Subject;
use crate::config::{Config, ConfigError};
use crate::lookup::looker::{Looker, LookerConfig};
use crate::name::Name;
use crate::publish::seen;

/// Print what would be done for the MailDomains of a file, without a cluster.
///
/// Without --live nothing is known of the zone and everything is an addition. With it the zone's own name servers are
/// asked, and the plan tells what is there, what would be added, and each conflict with the record to paste.
///
/// A RecordLedger among the files (kubectl get recordledger -o yaml) tells what the operator wrote before and which keys
/// it made: then the plan also tells what would be removed.
///
/// Exit code: 0 the plan was printed, 1 an error, or a name that could not be asked about, 2 there are conflicts.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file with MailDomains, and RecordLedgers beside them; `-` is standard input. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Ask the zone's own name servers what is there.
    #[arg(long)]
    live: bool,
    /// Print what the deletion of the MailDomains would do to the zone; needs their RecordLedgers.
    #[arg(long)]
    delete: bool,
    /// How the plan is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Diff)]
    output: Output,
    /// The operator's configuration file, of which `dns` is used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The port of name servers, for tests.
    #[arg(long, hide = true, default_value_t = 53)]
    dns_port: u16,
}

/// How a plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Printed, and nothing is in the way.
    Clear,
    /// Printed, and there are conflicts.
    Conflicts,
}

/// Why there is no plan, or not a whole one.
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
    /// No thread or socket to ask with.
    #[error("failed to start asking")]
    Start(#[source] std::io::Error),
    /// A deletion without the memory of what was written.
    #[error(
        "--delete needs the RecordLedger of {0} among the files; its entries are what a deletion removes: kubectl -n NAMESPACE_OF_THE_OPERATOR get recordledger {0} -o yaml"
    )]
    NoLedger(Name),
    /// Nothing to plan.
    #[error("the files hold RecordLedgers and no MailDomain; name the MailDomain's file too")]
    OnlyLedgers,
    /// The form.
    #[error(transparent)]
    Show(#[from] ShowError),
    /// Standard output.
    #[error("failed to write to standard output")]
    Output(#[source] std::io::Error),
    /// Printed, but not all could be asked.
    #[error(
        "{0} of the names could not be asked about, see the lines marked ?; is DNS reachable from here, and does --config say how?"
    )]
    Unread(usize),
}

/// Reads, looks, plans, prints.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let Arguments {
        files,
        live,
        delete,
        output,
        config,
        dns_port,
    } = arguments;
    let subjects = read_all(files)?;
    if let Some(subject) = subjects.iter().find(|s| *delete && s.memory.is_none()) {
        return Err(Failure::NoLedger(subject.declared.intent.domain.clone()));
    }
    let config = Config::parse(&config.as_deref().map(text_of).transpose()?.unwrap_or_default())?;
    let private_zones = config.private_zones()?;
    let private = |domain: &Name| private_zones.iter().any(|zone| domain.is_within(zone));
    let seen = if *live {
        let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let looker = LookerConfig {
            port: *dns_port,
            ..config.looker(&resolv_conf)?
        };
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::Start)?;
        runtime.block_on(look(&Looker::new(looker), &subjects, &private))
    } else {
        Vec::new()
    };
    #[expect(clippy::disallowed_methods, reason = "a command's present is when it runs")]
    let now = Timestamp::now();
    let preview = |(index, subject): (usize, &Subject)| {
        let private_zone = private(&subject.declared.intent.domain);
        let when = When {
            now,
            drain: config.drain(private_zone),
            deleted: *delete,
        };
        preview::preview(subject, seen.get(index), private_zone, when)
    };
    let previews: Vec<Preview> = subjects.iter().enumerate().map(preview).collect();
    let text = show::show(&previews, *output)?;
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)?;
    verdict(&previews)
}

fn verdict(previews: &[Preview]) -> Result<Verdict, Failure> {
    let counts: Vec<Counts> = previews.iter().map(Counts::of).collect();
    match counts.iter().map(|c| c.unread).sum() {
        0 if counts.iter().any(|c| c.conflicts > 0) => Ok(Verdict::Conflicts),
        0 => Ok(Verdict::Clear),
        unread => Err(Failure::Unread(unread)),
    }
}

/// The MailDomains of all files, each with its ledger if there is one.
fn read_all(files: &[PathBuf]) -> Result<Vec<Subject>, Failure> {
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

/// Asks about one domain after the other: each has the looker's whole patience.
async fn look(looker: &Looker, subjects: &[Subject], private: &dyn Fn(&Name) -> bool) -> Vec<Seen> {
    let mut all = Vec::new();
    for subject in subjects {
        let names = preview::names(subject, private(&subject.declared.intent.domain));
        let direct = looker.direct(&seen::questions(&names)).await;
        all.push(seen::by_name(&names, &direct));
    }
    all
}
