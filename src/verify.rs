//! Whether every authoritative server answers exactly what is wanted. Pure: answers in, one verdict for each RRset out.

use std::collections::BTreeMap;

use crate::api::Truth;
use crate::lookup::{Answer, Direct, Failure, Server};
use crate::plan::Group;
use crate::record::{Key, Value, Values};

/// The verdict about one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `True`: every server that answers gives exactly this. `Unknown`: none answers.
    pub verified: Truth,
    /// Whether every server of the zone answered, and the same. Proof of a key needs this.
    pub unanimous: bool,
    /// One word of a closed list; `None` when verified.
    pub reason: Option<&'static str>,
    /// What which server says.
    pub message: Option<String>,
    /// The answer of the first server that disagrees: what a receiver may get.
    pub worst: Option<Answer>,
}

/// One server's answer compared with what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparison {
    Same,
    Missing,
    Different(String),
    Silent(Failure),
}

/// Judges each group.
pub fn verify(groups: &[Group], direct: &Direct) -> BTreeMap<Key, Verdict> {
    groups
        .iter()
        .map(|group| (group.key.clone(), judge(group, direct)))
        .collect()
}

fn judge(group: &Group, direct: &Direct) -> Verdict {
    let none = Vec::new();
    let answers = direct.answers.get(&group.key).unwrap_or(&none);
    let compared: Vec<(&Server, &Answer, Comparison)> = answers
        .iter()
        .map(|(server, answer)| (server, answer, compare(group, answer)))
        .collect();
    let wrong = compared
        .iter()
        .find(|(_, _, c)| matches!(c, Comparison::Missing | Comparison::Different(_)));
    if let Some((server, answer, comparison)) = wrong {
        let (reason, what) = match comparison {
            Comparison::Different(text) => ("Different", format!("answers {text}")),
            Comparison::Missing | Comparison::Same | Comparison::Silent(_) => {
                ("Missing", "has no such record".to_owned())
            }
        };
        let others = compared.iter().filter(|(_, _, c)| *c == Comparison::Same).count();
        let rest = if others > 0 {
            format!("; {others} of {} servers answer right", compared.len())
        } else {
            String::new()
        };
        let message = format!("{} ({}) {what}{rest}", server.name, server.address);
        let worst = Some((*answer).clone());
        return Verdict {
            verified: Truth::False,
            unanimous: false,
            reason: Some(reason),
            message: Some(message),
            worst,
        };
    }
    if compared.iter().any(|(_, _, c)| *c == Comparison::Same) {
        let unanimous = compared.iter().all(|(_, _, c)| *c == Comparison::Same);
        return Verdict {
            verified: Truth::True,
            unanimous,
            reason: None,
            message: None,
            worst: None,
        };
    }
    let message = match (compared.first(), direct.unreachable.get(&group.key.name)) {
        (Some((server, _, Comparison::Silent(failure))), _) => format!(
            "{} ({}) {failure}, nor does another server",
            server.name, server.address
        ),
        (_, Some(failure)) => format!("no name server of the zone could be found: the parent {failure}"),
        (_, None) => "no name server was asked".to_owned(),
    };
    let unknown = Some("Unreachable");
    Verdict {
        verified: Truth::Unknown,
        unanimous: false,
        reason: unknown,
        message: Some(message),
        worst: None,
    }
}

fn compare(group: &Group, answer: &Answer) -> Comparison {
    match answer {
        Answer::Failed(failure) => Comparison::Silent(*failure),
        Answer::NoData { .. } | Answer::NxDomain { .. } => Comparison::Missing,
        Answer::Records {
            values,
            aliases,
            ttl: _,
        } => {
            if let Some(alias) = aliases.first() {
                return Comparison::Different(format!("an alias of {alias}"));
            }
            let ours: Values = values
                .iter()
                .filter(|value| group.claims(value))
                .cloned()
                .collect();
            if ours == group.values {
                Comparison::Same
            } else if ours.is_empty() {
                Comparison::Missing
            } else {
                let shown: Vec<String> = ours.iter().map(Value::to_string).collect();
                Comparison::Different(shown.join(", ").chars().take(160).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::protocol::{Purpose, Wanted};
    use crate::record::RecordType;

    const GOOD: &str = "v=spf1 ip4:203.0.113.4 ~all";

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn server(number: u8) -> Server {
        Server {
            name: name(&format!("ns{number}.example.net")),
            address: format!("192.0.2.{number}").parse().unwrap(),
        }
    }

    fn texts(texts: &[&str]) -> Answer {
        let values = texts.iter().map(|t| Value::Txt((*t).to_owned())).collect();
        Answer::Records {
            values,
            aliases: Vec::new(),
            ttl: 300,
        }
    }

    fn judged(answers: Vec<Answer>) -> Verdict {
        let wanted = Wanted::shared(name("example.com"), Purpose::Spf, GOOD.into(), "v=spf1");
        let key = Key::new(name("example.com"), RecordType::Txt);
        let answers = answers
            .into_iter()
            .enumerate()
            .map(|(i, a)| (server(u8::try_from(i + 1).unwrap()), a))
            .collect();
        let direct = Direct {
            answers: BTreeMap::from([(key.clone(), answers)]),
            unreachable: BTreeMap::new(),
        };
        verify(&crate::plan::group(vec![wanted]), &direct)
            .remove(&key)
            .unwrap()
    }

    #[test]
    fn all_servers_agree_foreign_texts_beside() {
        let verdict = judged(vec![texts(&[GOOD, "token=1"]), texts(&[GOOD])]);
        assert_eq!((verdict.verified, verdict.unanimous), (Truth::True, true));
    }

    #[test]
    fn a_stale_server_is_named() {
        let verdict = judged(vec![texts(&[GOOD]), texts(&["v=spf1 -all"])]);
        assert_eq!(
            (verdict.verified, verdict.reason),
            (Truth::False, Some("Different"))
        );
        assert_eq!(
            verdict.message.unwrap(),
            "ns2.example.net (192.0.2.2) answers \"v=spf1 -all\"; 1 of 2 servers answer right"
        );
    }

    #[test]
    fn a_doubled_record_is_different() {
        assert_eq!(
            judged(vec![texts(&[GOOD, "v=spf1 -all"])]).reason,
            Some("Different")
        );
    }

    #[test]
    fn an_alias_that_leads_to_the_right_text_is_not_the_record() {
        let Answer::Records { values, ttl, .. } = texts(&[GOOD]) else {
            panic!("texts are records")
        };
        let aliases = vec![name("spf.elsewhere.example")];
        let verdict = judged(vec![Answer::Records { values, aliases, ttl }]);
        assert_eq!(
            (verdict.verified, verdict.reason),
            (Truth::False, Some("Different"))
        );
        assert!(
            verdict
                .message
                .unwrap()
                .contains("an alias of spf.elsewhere.example")
        );
    }

    #[test]
    fn one_silent_server_does_not_unverify_but_is_no_proof() {
        let verdict = judged(vec![texts(&[GOOD]), Answer::Failed(Failure::Timeout)]);
        assert_eq!((verdict.verified, verdict.unanimous), (Truth::True, false));
    }

    #[test]
    fn absent_and_unknown_differ() {
        assert_eq!(
            judged(vec![Answer::NxDomain { negative_ttl: 30 }]).verified,
            Truth::False
        );
        assert_eq!(
            judged(vec![Answer::Failed(Failure::ServFail)]).verified,
            Truth::Unknown
        );
        assert_eq!(judged(vec![]).verified, Truth::Unknown);
    }
}
