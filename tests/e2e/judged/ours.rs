//! What we say of the same zones: `maildomain check`, with a declaration where a sender is judged.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use maildomain::api::DmarcPolicy;
use maildomain::config::Config;
use maildomain::lookup::looker::Looker;
use maildomain::lookup::{Answer, Facts};
use maildomain::name::Name;
use maildomain::protocol::dmarc;
use maildomain::record::Key;
use serde_json::Value as Json;

use super::work::Directory;
use super::zones::{Domain, Question};
use crate::harness::{said, var};

/// Processes at a time; they wait for DNS.
const AT_A_TIME: usize = 4;
/// As many rounds of questions as the operator asks.
const ROUNDS: usize = 24;

/// Our words.
pub(super) struct Ours {
    /// About each question of each domain.
    pub(super) answers: BTreeMap<(String, Question), String>,
    /// By file: what was found about its domains, without a declaration.
    pub(super) findings: BTreeMap<String, Vec<Finding>>,
}

/// One finding of `maildomain check`.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// The domain that was checked.
    pub(super) domain: String,
    pub(super) protocol: String,
    pub(super) severity: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) message: String,
}

impl Ours {
    pub(super) fn ask(domains: &[Domain], directory: &Directory) -> Self {
        directory.write("config.yaml", &configuration());
        let findings: BTreeMap<String, Vec<Finding>> = domains
            .iter()
            .map(|domain| domain.name.clone())
            .zip(in_parallel(domains, |domain| observe(domain, directory)))
            .collect();
        let mut answers = spf_answers(domains, directory);
        let looker = Looker::new(
            Config::parse(&configuration())
                .and_then(|config| config.looker(""))
                .expect("the configuration is sound"),
        );
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        for domain in domains {
            for (question, _) in &domain.questions {
                let answer = match question {
                    Question::Spf { .. } => continue,
                    Question::Dkim {
                        selector, domain: at, ..
                    } => {
                        let name = format!("{selector}._domainkey.{at}");
                        let fails = |f: &&Finding| f.severity == "Fail" && f.name == name;
                        let is_bad = findings[&domain.name].iter().any(|f| fails(&f));
                        if is_bad { "fail" } else { "pass" }.to_owned()
                    }
                    Question::Dmarc { author } => runtime.block_on(policy(&looker, author)),
                };
                answers.insert((domain.name.clone(), question.clone()), answer);
            }
        }
        Self { answers, findings }
    }

    /// Whether a protocol's records are in order, as far as failures go.
    pub(super) fn record(&self, domain: &Domain, protocol: &str) -> &'static str {
        let origin = domain.origin();
        let fails = |f: &Finding| f.domain == origin && f.protocol == protocol && f.severity == "Fail";
        if self.findings[&domain.name].iter().any(fails) {
            "invalid"
        } else {
            "valid"
        }
    }
}

/// The world as the operator's configuration has it; documentation addresses are in order there.
fn configuration() -> String {
    format!(
        "dns: {{rootHints: [{}], resolvers: [{}], privateZones: [example], queryTimeout: 2s}}\n",
        var("ROOT_HINTS"),
        var("RESOLVER")
    )
}

/// Does a thing for each of many, some at a time; the results are in the order of the things.
fn in_parallel<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(things.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    let take = || next.lock().expect("no thread panics with it").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, thing)) = take() {
                    let result = work(thing);
                    done.lock()
                        .expect("no thread panics with it")
                        .insert(number, result);
                }
            });
        }
    });
    let done = done.into_inner().expect("all threads have ended");
    done.into_values().collect()
}

/// The findings about a domain, and about those below it that are named; nothing is declared.
fn observe(domain: &Domain, directory: &Directory) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, selectors) in domain.checked() {
        let mut arguments = vec![name];
        for selector in selectors {
            arguments.extend(["--selector".to_owned(), selector.clone()]);
        }
        let judged = check(&arguments, directory);
        findings.extend(findings_of(&judged[0]));
    }
    findings
}

fn check(arguments: &[String], directory: &Directory) -> Json {
    let output = Command::new(env!("CARGO_BIN_EXE_maildomain"))
        .arg("check")
        .args(arguments)
        .args(["--output", "json", "--config"])
        .arg(directory.file("config.yaml"))
        .stdin(Stdio::null())
        .output()
        .expect("maildomain can be started");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", said(&output)))
}

fn findings_of(judged: &Json) -> Vec<Finding> {
    let text = |json: &Json| json.as_str().expect("a text").to_owned();
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let domain = text(&judged["domain"]);
    let mut findings = Vec::new();
    for block in list(&judged["protocols"]) {
        findings.extend(list(&block["findings"]).iter().map(|said| Finding {
            domain: domain.clone(),
            protocol: text(&block["protocol"]),
            severity: text(&said["severity"]),
            id: text(&said["id"]),
            name: text(&said["name"]),
            message: text(&said["message"]),
        }));
    }
    findings
}

/// What SPF makes of each client: every one is the only sender of a MailDomain that is made for it.
fn spf_answers(domains: &[Domain], directory: &Directory) -> BTreeMap<(String, Question), String> {
    let asked: Vec<(&Domain, &Question)> = domains
        .iter()
        .flat_map(|domain| {
            domain
                .questions
                .iter()
                .map(move |(question, _)| (domain, question))
        })
        .filter(|(_, question)| matches!(question, Question::Spf { .. }))
        .collect();
    let parts: Vec<(usize, &[(&Domain, &Question)])> = asked
        .chunks(asked.len().div_ceil(AT_A_TIME))
        .enumerate()
        .collect();
    let answered = in_parallel(&parts, |(number, part)| {
        let declared: String = part.iter().map(|(_, question)| declaration(question)).collect();
        let path = directory.write(&format!("declared-{number}.yaml"), &declared);
        let judged = check(&["-f".to_owned(), path.display().to_string()], directory);
        let judged = judged.as_array().cloned().unwrap_or_default();
        assert_eq!(judged.len(), part.len(), "one verdict for each declaration");
        let answers = part.iter().zip(&judged);
        let answers = answers.map(|((domain, question), judged)| {
            ((domain.name.clone(), (*question).clone()), spf_word(judged))
        });
        answers.collect::<Vec<_>>()
    });
    answered.into_iter().flatten().collect()
}

/// Only observed, so that nothing but the sender is asked for.
fn declaration(question: &Question) -> String {
    let Question::Spf {
        address,
        helo,
        mail_from,
    } = question
    else {
        unreachable!("only senders are declared");
    };
    // A bounce is judged by the name that it greets with (RFC 7208 section 2.4).
    let domain = mail_from
        .rsplit_once('@')
        .map_or(helo.as_str(), |(_, domain)| domain);
    format!(
        "---\napiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\nmetadata: {{name: judged}}\nspec:\n  domain: {domain}\n  \
         publishing: {{mode: Observe}}\n  hosts: [{{name: {helo}, purpose: Mail, addresses: [\"{address}\"], reverse: Ignore}}]\n  \
         senders: [{{name: it, hosts: [{helo}]}}]\n"
    )
}

/// The result, as the check says it; a sender that passes is not mentioned.
fn spf_word(judged: &Json) -> String {
    let blocks = judged["protocols"].as_array().into_iter().flatten();
    assert!(
        blocks.into_iter().any(|block| block["protocol"] == "SPF"),
        "SPF was not looked at: {judged}"
    );
    let findings = findings_of(judged);
    let found = findings.iter().find(|f| f.id == "spf-authorizes-senders");
    match found.map(|f| (f.severity.as_str(), f.message.as_str())) {
        None => "pass".to_owned(),
        Some(("Unknown", _)) => "temperror".to_owned(),
        Some((_, message)) => {
            let word = message.split(" gets SPF ").nth(1);
            let word = word.and_then(|rest| rest.split(' ').next());
            word.unwrap_or_else(|| panic!("no result in: {message}"))
                .to_owned()
        }
    }
}

/// The policy that we say applies to an author domain.
async fn policy(looker: &Looker, author: &str) -> String {
    let author = Name::parse(author).expect("an author domain is a name");
    let mut known: BTreeMap<Key, Answer> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let facts = Facts::new(known.clone());
        let applied = dmarc::policy(&facts, &author);
        let missing = facts.take_missing();
        if missing.is_empty() {
            return match applied {
                Ok(applied) => applied
                    .and_then(|applied| applied.effective())
                    .map_or("absent", word),
                Err(_) => "temperror",
            }
            .to_owned();
        }
        known.extend(looker.receiver(&missing).await);
    }
    panic!("the walk for {author} has no end");
}

fn word(policy: DmarcPolicy) -> &'static str {
    match policy {
        DmarcPolicy::None => "none",
        DmarcPolicy::Quarantine => "quarantine",
        DmarcPolicy::Reject => "reject",
    }
}
