//! `maildomain check`: what the world sees of a domain, judged as the operator judges it, without a cluster. (files, network)

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::findings::{self, Judged, Verdict};
use super::inputs::{self, Setting};
use super::message;
use super::report;
pub use super::report::Form;
use super::subject::Subject;
use super::{documents::Declared, observed};
use crate::controller::look::look;
use crate::finding::Finding;
use crate::intent::{Key, Sender};
use crate::message::NoMessage;
use crate::name::{Name, Selector};
use crate::plan::group;
use crate::protocol::{self, Declaration, PolicyGate, SigningKey};

/// Look at a domain from outside and say what a receiver of its mail would.
///
/// With --filename the MailDomains of the files are what must be there. Without it nothing is declared: what stands there is
/// judged by itself, and what cannot be judged then is said.
///
/// Exit code: 0 nothing fails, 1 an error or a wrong use, 2 something fails, 3 nothing fails and something could not be asked.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain in the From of the mail. With --filename: only this one of those that are declared.
    #[arg(value_name = "DOMAIN", required_unless_present_any = ["files", "message"])]
    domain: Option<String>,
    /// A file with MailDomains, and RecordLedgers beside them; `-` is standard input. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// A DKIM selector to look at, the s= of a signature. May be given several times.
    #[arg(long = "selector", value_name = "NAME", conflicts_with = "files")]
    selectors: Vec<String>,
    /// A received message, whole, as its source: it is judged as its receiver would, then the domain in its From with the
    /// selectors of its signatures. With --filename it is also said what differs from the declaration; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["domain", "selectors"])]
    message: Option<PathBuf>,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// The operator's configuration file, of which `dns` is used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The port of name servers, for tests.
    #[arg(long, hide = true, default_value_t = 53)]
    dns_port: u16,
}

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The files.
    #[error(transparent)]
    Input(#[from] inputs::Failure),
    /// Not a domain.
    #[error("DOMAIN {0} is not a domain name; write it like example.com")]
    Domain(String),
    /// Not a selector.
    #[error("--selector {0} is not a selector; write the s= of a signature, like s1")]
    Selector(String),
    /// Not among those of the files.
    #[error("no MailDomain of the files declares {0}")]
    NotDeclared(Name),
    /// Not a message.
    #[error("{0} {1}")]
    Message(PathBuf, NoMessage),
    /// No thread or socket to ask with.
    #[error("failed to start asking")]
    Start(#[source] std::io::Error),
    /// The form.
    #[error("failed to print what was seen as JSON")]
    Print(#[source] serde_json::Error),
    /// Standard output.
    #[error("failed to write to standard output")]
    Output(#[source] std::io::Error),
}

/// What is looked at.
#[derive(Debug)]
pub(super) enum Target {
    /// Something is declared.
    Declared(Box<Subject>),
    /// Nothing is.
    Observed(Name, Vec<Selector>),
}

/// Reads, looks, judges, prints; gives the exit code.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let setting = inputs::setting(arguments.config.as_deref(), arguments.dns_port)?;
    let message = arguments.message.as_deref().map(message::read).transpose()?;
    let targets = match &message {
        Some(message) => message::targets(arguments, message)?,
        None => targets(arguments)?,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Start)?;
    let mut judged = Vec::new();
    for target in &targets {
        progress(Some(target.domain()));
        judged.push(runtime.block_on(judge(&setting, target)));
        progress(None);
    }
    if let Some(message) = &message {
        judged.truncate(1);
        let block = runtime.block_on(message::block(&setting, message, targets.first()));
        findings::begin_with(&mut judged, block);
    }
    let stdout = std::io::stdout();
    let coloured = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = report::show(&judged, arguments.output, coloured).map_err(Failure::Print)?;
    stdout
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)?;
    let worst = judged.iter().map(|judged| judged.verdict).max();
    Ok(match worst {
        Some(Verdict::Fail) => 2,
        Some(Verdict::Unknown) => 3,
        Some(Verdict::Pass | Verdict::Warn) | None => 0,
    })
}

/// A line that stands while DNS is asked, for a person who waits.
fn progress(domain: Option<&Name>) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Whoever cannot see it misses nothing.
        let _ = match domain {
            Some(domain) => write!(stderr, "asking about {domain} ..."),
            None => write!(stderr, "\r\x1b[K"),
        };
        let _ = stderr.flush();
    }
}

fn targets(arguments: &Arguments) -> Result<Vec<Target>, Failure> {
    let domain = |text: &String| Name::parse_host(text).map_err(|_| Failure::Domain(text.clone()));
    let domain = arguments.domain.as_ref().map(domain).transpose()?;
    if arguments.files.is_empty() {
        let selector = |text: &String| Selector::parse(text).map_err(|_| Failure::Selector(text.clone()));
        let selectors: Result<Vec<Selector>, Failure> = arguments.selectors.iter().map(selector).collect();
        let selectors = selectors?;
        return Ok(domain
            .into_iter()
            .map(|domain| Target::Observed(domain, selectors.clone()))
            .collect());
    }
    let mut subjects = inputs::read_all(&arguments.files)?;
    if let Some(domain) = domain {
        subjects.retain(|subject| subject.declared.intent.domain == domain);
        if subjects.is_empty() {
            return Err(Failure::NotDeclared(domain));
        }
    }
    Ok(subjects
        .into_iter()
        .map(|subject| Target::Declared(Box::new(subject)))
        .collect())
}

impl Target {
    pub(super) fn domain(&self) -> &Name {
        match self {
            Self::Declared(subject) => &subject.declared.intent.domain,
            Self::Observed(domain, _) => domain,
        }
    }
}

async fn judge(setting: &Setting, target: &Target) -> Judged {
    let private_zone = setting.is_private(target.domain());
    match target {
        Target::Declared(subject) => {
            let Declared { intent, .. } = &subject.declared;
            let declaration = Declaration {
                intent,
                keys: &subject.keys(),
                policy_gate: PolicyGate::Released,
                private_zone,
            };
            let groups = group(protocol::desired(&declaration));
            let seen = look(&setting.looker, &declaration, &groups, BTreeMap::new()).await;
            findings::judged(&intent.domain, &groups, &seen, |_| true, unknown_keys(subject))
        }
        Target::Observed(domain, selectors) => {
            let keys: Vec<SigningKey> = observed::keys(selectors);
            let mut heard = setting.looker.receiver(&observed::questions(domain)).await;
            let hosts = observed::addresses(domain, &heard);
            heard.extend(setting.looker.receiver(&hosts).await);
            let unseen = observed::unseen(selectors, observed::is_parked(domain, &heard));
            let declaration = Declaration {
                intent: &observed::intent(domain, &heard),
                keys: &keys,
                policy_gate: PolicyGate::Released,
                private_zone,
            };
            let mut seen = look(&setting.looker, &declaration, &[], heard).await;
            seen.findings = seen.findings.into_iter().map(observed::worded).collect();
            let speaks = |finding: &Finding| observed::speaks(finding, selectors);
            findings::judged(domain, &[], &seen, speaks, unseen)
        }
    }
}

/// Keys that only their cluster knows.
fn unknown_keys(subject: &Subject) -> Vec<String> {
    let key = |(sender, key): (&Sender, &Key)| {
        format!(
            "DKIM: key {} of sender {} is in the cluster; name its RecordLedger with --filename too",
            key.name, sender.name
        )
    };
    subject.unmade().map(key).collect()
}
