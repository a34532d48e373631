//! What programs that know nothing of this operator say: pyspf, dkimpy, OpenDKIM, rspamd and checkdmarc.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::keys::Keys;
use super::zones::{Domain, Question};
use crate::harness::{pipe, said};

/// An address that nobody has authorised, and the name that it greets with.
const STRANGER: (&str, &str) = ("203.0.113.250", "stranger.example");

/// Judges and what they say.
pub(super) type Words = Vec<(&'static str, String)>;

/// The words of all foreign judges.
pub(super) struct Jury {
    /// About each question of each domain.
    pub(super) answers: BTreeMap<(String, Question), Words>,
    /// What checkdmarc makes of the SPF and of the DMARC record of each domain: valid or invalid.
    pub(super) records: BTreeMap<String, [String; 2]>,
    /// The DMARC verdict of rspamd about each letter that comes from a client that may send, or that is signed.
    pub(super) delivered: BTreeMap<(String, Question), String>,
}

impl Jury {
    /// Asks everybody everything: all letters in one call, all domains of checkdmarc in another.
    pub(super) fn ask(domains: &[Domain], keys: &Keys) -> Self {
        let asked: Vec<(&Domain, &Question)> = domains
            .iter()
            .flat_map(|domain| {
                domain
                    .questions
                    .iter()
                    .map(move |(question, _)| (domain, question))
            })
            .collect();
        let letters: Vec<Json> = asked.iter().map(|(domain, q)| letter(domain, q, keys)).collect();
        let names = checkdmarc_names(domains);
        let (verdicts, checkdmarc) = std::thread::scope(|scope| {
            let verdicts = scope.spawn(|| answer("jury", &Json::Array(letters)));
            let checkdmarc = answer("checkdmarc", &json!(names));
            (verdicts.join().expect("the jury answers"), checkdmarc)
        });
        let verdicts = verdicts.as_array().expect("a list of verdicts");
        assert_eq!(verdicts.len(), asked.len(), "one verdict for each letter");
        let key = |domain: &Domain, question: &Question| (domain.name.clone(), question.clone());
        let answers = asked.iter().zip(verdicts);
        let answers = answers.map(|((domain, q), verdict)| (key(domain, q), words(q, verdict, &checkdmarc)));
        let delivered = asked
            .iter()
            .zip(verdicts)
            .map(|((domain, question), verdict)| (key(domain, question), text(&verdict["rspamd"]["dmarc"])));
        let record = |domain: &Domain| {
            let said = &checkdmarc[domain.origin()];
            let valid = |of: &str| {
                if said[of]["valid"] == true {
                    "valid"
                } else {
                    "invalid"
                }
            };
            (
                domain.name.clone(),
                [valid("spf"), valid("dmarc")].map(str::to_owned),
            )
        };
        Self {
            answers: answers.collect(),
            records: domains.iter().map(record).collect(),
            delivered: delivered.collect(),
        }
    }
}

/// The domains, and the authors below them that have a question of their own.
fn checkdmarc_names(domains: &[Domain]) -> Vec<String> {
    let authors = domains.iter().flat_map(|domain| &domain.questions);
    let authors = authors.filter_map(|(question, _)| match question {
        Question::Dmarc { author } => Some(author.clone()),
        Question::Spf { .. } | Question::Dkim { .. } => None,
    });
    let mut names: Vec<String> = domains.iter().map(Domain::origin).chain(authors).collect();
    names.sort();
    names.dedup();
    names
}

/// The message that puts a question to the judges.
fn letter(domain: &Domain, question: &Question, keys: &Keys) -> Json {
    let sign = |selector: &str, domain: &str, key: &str| json!({"selector": selector, "domain": domain, "key": keys.private(key), "ed25519": key == "ed25519"});
    let (stranger, greeting) = STRANGER;
    match question {
        Question::Spf {
            address,
            helo,
            mail_from,
        } => {
            let signature = domain
                .questions
                .iter()
                .find_map(|(question, answer)| match question {
                    Question::Dkim {
                        selector,
                        domain,
                        key,
                    } if answer == "pass" => Some(sign(selector, domain, key)),
                    _ => None,
                });
            let message = message(&domain.origin());
            json!({"ip": address, "helo": helo, "from": mail_from, "message": message, "sign": signature})
        }
        Question::Dkim {
            selector,
            domain,
            key,
        } => {
            let sign = sign(selector, domain, key);
            json!({"ip": stranger, "helo": greeting, "from": "", "message": message(domain), "sign": sign})
        }
        Question::Dmarc { author } => {
            json!({"ip": stranger, "helo": greeting, "from": "", "message": message(author)})
        }
    }
}

fn message(author: &str) -> String {
    format!(
        "From: News <news@{author}>\r\nTo: reader@elsewhere.example\r\nSubject: Judge for yourself\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@{author}>\r\n\r\nSent as declared?\r\n"
    )
}

fn words(question: &Question, verdict: &Json, checkdmarc: &Json) -> Words {
    let pass_or_fail = |word: &Json| if *word == "pass" { "pass" } else { "fail" }.to_owned();
    match question {
        Question::Spf { .. } => vec![
            ("pyspf", text(&verdict["pyspf"]["result"])),
            ("rspamd", text(&verdict["rspamd"]["spf"])),
        ],
        Question::Dkim { .. } => vec![
            ("dkimpy", pass_or_fail(&verdict["dkimpy"]["result"])),
            ("OpenDKIM", pass_or_fail(&verdict["opendkim"]["result"])),
            ("rspamd", pass_or_fail(&verdict["rspamd"]["dkim"])),
        ],
        Question::Dmarc { author } => vec![
            ("rspamd", text(&verdict["rspamd"]["policy"])),
            ("checkdmarc", text(&checkdmarc[author]["dmarc"]["policy"])),
        ],
    }
}

/// What a program of tests/judges answers.
fn answer(program: &str, question: &Json) -> Json {
    let path = format!("{}/tests/judges/{program}", env!("CARGO_MANIFEST_DIR"));
    let output = pipe(&path, &[], question.to_string().as_bytes());
    assert!(output.status.success(), "{program}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{program}: {}", said(&output)))
}

fn text(json: &Json) -> String {
    json.as_str()
        .unwrap_or_else(|| panic!("not a word: {json}"))
        .to_owned()
}
