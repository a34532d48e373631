//! `maildomain plan`: what would be done for the MailDomains of a file, without a cluster. (files, network)

use std::io::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;

use super::inputs;
use super::preview::{self, Burdens, Preview, Seen, When};
use super::show::{self, Counts};
pub use super::show::{Output, ShowError};
use super::subject::Subject;
use crate::controller::look::burdens;
use crate::lookup::looker::Looker;
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
    /// The files.
    #[error(transparent)]
    Input(#[from] inputs::Failure),
    /// No thread or socket to ask with.
    #[error("failed to start asking")]
    Start(#[source] std::io::Error),
    /// A deletion without the memory of what was written.
    #[error(
        "--delete needs the RecordLedger of {0} among the files; its entries are what a deletion removes: kubectl -n NAMESPACE_OF_THE_OPERATOR get recordledger {0} -o yaml"
    )]
    NoLedger(Name),
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
    let subjects = inputs::read_all(files)?;
    if let Some(subject) = subjects.iter().find(|s| *delete && s.memory.is_none()) {
        return Err(Failure::NoLedger(subject.declared.intent.domain.clone()));
    }
    let setting = inputs::setting(config.as_deref(), *dns_port)?;
    #[expect(clippy::disallowed_methods, reason = "a command's present is when it runs")]
    let now = Timestamp::now();
    let moment = |subject: &Subject| {
        let private_zone = setting.is_private(&subject.declared.intent.domain);
        let when = When {
            now,
            drain: setting.config.drain(private_zone),
            deleted: *delete,
        };
        (private_zone, when)
    };
    let seen = if *live {
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::Start)?;
        runtime.block_on(look(&setting.looker, &subjects, &moment))
    } else {
        Vec::new()
    };
    let preview = |(index, subject): (usize, &Subject)| {
        let (private_zone, when) = moment(subject);
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

/// Asks about one domain after the other: each has the looker's whole patience.
async fn look(
    looker: &Looker,
    subjects: &[Subject],
    moment: &dyn Fn(&Subject) -> (bool, When),
) -> Vec<(Seen, Burdens)> {
    let mut all = Vec::new();
    for subject in subjects {
        let (private_zone, when) = moment(subject);
        let names = preview::names(subject, private_zone);
        let direct = looker.direct(&seen::questions(&names)).await;
        let seen = seen::by_name(&names, &direct);
        let records = preview::to_be_weighed(subject, &seen, private_zone, when);
        let burdens = burdens(looker, records).await;
        all.push((seen, burdens));
    }
    all
}
