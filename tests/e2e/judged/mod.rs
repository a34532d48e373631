//! Many zones, good ones and bad ones, on real name servers, judged by us and by programs that know nothing of us. Where
//! somebody disagrees, a committed table says who is right and why: docs/judges.md.

mod foreign;
mod keys;
mod ours;
mod table;
mod work;
mod zones;

use foreign::Jury;
use keys::Keys;
use ours::Ours;
use table::Row;
use work::Directory;
use zones::{Domain, Published, Question, Said};

use crate::harness::run;

#[test]
fn judges_and_we_agree_but_for_what_the_table_explains() {
    let directory = Directory::new();
    let keys = Keys::new();
    let domains = zones::read_all(&keys);
    let good = domains.iter().filter(|domain| domain.good).count();
    assert!(
        good >= 30 && domains.len() - good >= 50,
        "{good} of {}",
        domains.len()
    );
    let _published = Published::new(&domains, &keys);
    run(
        &format!("{}/tests/judges/rspamd", env!("CARGO_MANIFEST_DIR")),
        &["up"],
    );
    let (jury, ours) = std::thread::scope(|scope| {
        let jury = scope.spawn(|| Jury::ask(&domains, &keys));
        let ours = Ours::ask(&domains, &directory);
        (jury.join().expect("the jury answers"), ours)
    });
    let mut wrong = table::differences(disagreements(&domains, &jury, &ours));
    for domain in &domains {
        wrong.extend(not_by_the_standards(domain, &ours));
        wrong.extend(unsaid(domain, &ours));
        if domain.good {
            wrong.extend(failures(domain, &ours));
            wrong.extend(undelivered(domain, &jury));
        }
    }
    assert!(wrong.is_empty(), "{} things:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every answer of a foreign judge that is not ours.
fn disagreements(domains: &[Domain], jury: &Jury, ours: &Ours) -> Vec<Row> {
    let mut rows = Vec::new();
    for domain in domains {
        let mut compare = |question: &str, judge, says: &str, ours: &str| {
            let says = if domain.by_chance.contains(judge) {
                "by chance"
            } else {
                says
            };
            if says != ours {
                rows.push(Row {
                    zone: domain.name.clone(),
                    question: question.to_owned(),
                    judge,
                    says: says.to_owned(),
                    ours: ours.to_owned(),
                });
            }
        };
        for (question, _) in &domain.questions {
            let key = (domain.name.clone(), question.clone());
            for (judge, says) in &jury.answers[&key] {
                compare(&question.to_string(), judge, says, &ours.answers[&key]);
            }
        }
        let [spf, dmarc] = &jury.records[&domain.name];
        compare("spf record", "checkdmarc", spf, ours.record(domain, "SPF"));
        compare("dmarc record", "checkdmarc", dmarc, ours.record(domain, "DMARC"));
    }
    rows
}

/// Our answers that are not those of the standards, as the file has them.
fn not_by_the_standards(domain: &Domain, ours: &Ours) -> Vec<String> {
    let answers = domain.questions.iter().filter_map(|(question, expected)| {
        let said = &ours.answers[&(domain.name.clone(), question.clone())];
        (said != expected).then(|| format!("{}: {question}: we say {said}, not {expected}", domain.name))
    });
    answers.collect()
}

/// Findings that the file expects and that we do not have.
fn unsaid(domain: &Domain, ours: &Ours) -> Vec<String> {
    let found = &ours.findings[&domain.name];
    let is_there = |said: &Said| {
        found.iter().any(|finding| {
            finding.domain == said.domain && finding.severity == said.severity && finding.id == said.check
        })
    };
    let missing = domain.says.iter().filter(|said| !is_there(said));
    missing
        .map(|said| format!("{}: not there: {said:?}; found: {found:#?}", domain.name))
        .collect()
}

/// What we call a failure.
fn failures(domain: &Domain, ours: &Ours) -> Vec<String> {
    let found = ours.findings[&domain.name].iter();
    let failures = found.filter(|finding| finding.severity == "Fail");
    failures
        .map(|finding| {
            format!(
                "{} is good, and: {}: {}",
                domain.name, finding.id, finding.message
            )
        })
        .collect()
}

/// Letters that are sent as they should be, and that a receiver would not take for the domain's.
fn undelivered(domain: &Domain, jury: &Jury) -> Vec<String> {
    let sent = domain
        .questions
        .iter()
        .filter(|(question, expected)| expected == "pass" && !matches!(question, Question::Dmarc { .. }));
    sent.filter_map(|(question, _)| {
        let said = &jury.delivered[&(domain.name.clone(), question.clone())];
        (said != "pass").then(|| format!("{}: {question}: rspamd says of DMARC: {said}", domain.name))
    })
    .collect()
}
