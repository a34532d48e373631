//! What a ClusterDNSProvider says of itself. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::condition;
use crate::api::{ClusterDNSProviderStatus, Truth};
use crate::name::Name;
use crate::publish::{Credentials, PublishError, Survey};

/// How many zones are listed.
const LISTED: usize = 50;
/// How many more faults a message names after the first.
const ALSO: usize = 5;

/// Every reason of the condition `CredentialsValid`, with what it means.
pub const REASONS: &[(&str, &str)] = &[
    (
        "Accepted",
        "True: the provider gave an answer that only the holder of the credentials gets.",
    ),
    ("Rejected", "False: the provider refuses the credentials."),
    (
        "SecretMissing",
        "False: the Secret, or the key in it, does not exist in the operator's namespace.",
    ),
    (
        "Unreachable",
        "Unknown: the provider does not answer, or is left alone for a while after failures.",
    ),
    ("Throttled", "Unknown: the provider asks to wait."),
    (
        "NotShown",
        "Unknown: the provider was not asked, or its answers do not show it; the message of `Ready` says why.",
    ),
    (
        "NotOurs",
        "Unknown: ExternalDNS has credentials of its own, which nobody shows to the operator.",
    ),
];

/// What is known of the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Accepted,
    Rejected,
    SecretMissing,
    Unreachable,
    Throttled,
    NotShown,
    NotOurs,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Rejected => "Rejected",
            Self::SecretMissing => "SecretMissing",
            Self::Unreachable => "Unreachable",
            Self::Throttled => "Throttled",
            Self::NotShown => "NotShown",
            Self::NotOurs => "NotOurs",
        }
    }

    fn truth(self) -> Truth {
        match self {
            Self::Accepted => Truth::True,
            Self::Rejected | Self::SecretMissing => Truth::False,
            Self::Unreachable | Self::Throttled | Self::NotShown | Self::NotOurs => Truth::Unknown,
        }
    }
}

/// The status, from what asking the provider gave.
pub fn provider(
    old: &ClusterDNSProviderStatus,
    generation: Option<i64>,
    asked: &Result<Survey, PublishError>,
    now: Timestamp,
) -> ClusterDNSProviderStatus {
    let condition = |kind, (truth, reason, message): (Truth, &str, String)| {
        condition(&old.conditions, kind, truth, reason, &message, generation, now)
    };
    let credentials = credentials(asked);
    let seen = seen(old, asked);
    ClusterDNSProviderStatus {
        observed_generation: generation,
        conditions: vec![
            condition("Ready", ready(asked)),
            condition("CredentialsValid", credentials),
        ],
        ..seen
    }
}

fn ready(asked: &Result<Survey, PublishError>) -> (Truth, &'static str, String) {
    let survey = match asked {
        Ok(survey) => survey,
        Err(error) => {
            let passes = matches!(
                error,
                PublishError::Unreachable | PublishError::Resting(..) | PublishError::Throttled(_)
            );
            let truth = if passes { Truth::Unknown } else { Truth::False };
            return (truth, error.reason(), error.to_string());
        }
    };
    // What is wrong with the key comes first: it is wrong with every zone.
    let faults = || survey.faults.iter();
    let worst = faults()
        .find(|(_, error)| **error == PublishError::Credentials)
        .or_else(|| faults().next());
    if let Some((zone, error)) = worst {
        let others: Vec<&str> = faults()
            .map(|(other, _)| other.as_str())
            .filter(|other| *other != zone.as_str())
            .collect();
        let message = format!("{error}{}", also(&others));
        return (Truth::False, error.reason(), message);
    }
    let message = match survey.credentials {
        Credentials::Foreign => {
            "the cluster takes DNSEndpoints; what ExternalDNS makes of them shows in DNS, and each MailDomain says it"
        }
        Credentials::Accepted | Credentials::Unclear => {
            "the provider answers, takes the credentials and serves every zone of spec"
        }
    };
    (Truth::True, "AsDeclared", message.to_owned())
}

fn also(zones: &[&str]) -> String {
    let (named, more) = zones.split_at(zones.len().min(ALSO));
    match (named, more.len()) {
        ([], _) => String::new(),
        (named, 0) => format!("; it is not in order for {} either", named.join(", ")),
        (named, more) => format!(
            "; it is not in order for {} and {more} more either",
            named.join(", ")
        ),
    }
}

fn credentials(asked: &Result<Survey, PublishError>) -> (Truth, &'static str, String) {
    let (word, message) = match asked {
        Ok(survey) => of_survey(survey),
        Err(error) => of_error(error),
    };
    (word.truth(), word.as_str(), message)
}

fn of_survey(survey: &Survey) -> (Word, String) {
    let refused = |error: &PublishError| *error == PublishError::Credentials;
    let zones: Vec<&str> = survey
        .faults
        .iter()
        .filter(|(_, error)| refused(error))
        .map(|(zone, _)| zone.as_str())
        .take(ALSO)
        .collect();
    if !zones.is_empty() {
        let message = format!(
            "the provider refuses the credentials for {}; check the Secret that the provider object names",
            zones.join(", ")
        );
        return (Word::Rejected, message);
    }
    match survey.credentials {
        Credentials::Accepted => (
            Word::Accepted,
            "the provider takes the credentials of the Secret".to_owned(),
        ),
        Credentials::Unclear => (
            Word::NotShown,
            "the server serves no zone of spec, and only in a zone a key shows".to_owned(),
        ),
        Credentials::Foreign => (
            Word::NotOurs,
            "ExternalDNS has credentials of its own; its log tells of them".to_owned(),
        ),
    }
}

fn of_error(error: &PublishError) -> (Word, String) {
    let word = match error {
        PublishError::Unreachable | PublishError::Resting(..) => Word::Unreachable,
        PublishError::Throttled(_) => Word::Throttled,
        PublishError::Credentials => Word::Rejected,
        PublishError::SecretMissing(..) => Word::SecretMissing,
        PublishError::ZoneMissing(_)
        | PublishError::ProviderMissing(_)
        | PublishError::Refused(..)
        | PublishError::Raced(_)
        | PublishError::LeadLost
        | PublishError::Unreadable
        | PublishError::Unsupported(..)
        | PublishError::Endpoint
        | PublishError::EndpointTaken(_)
        | PublishError::ServerUnknown(_)
        | PublishError::Cluster(_)
        | PublishError::Misconfigured(_)
        | PublishError::Unseen(..) => Word::NotShown,
    };
    (word, error.to_string())
}

/// The zones. A provider that could not be asked keeps what was last seen; one that refuses shows nothing.
fn seen(old: &ClusterDNSProviderStatus, asked: &Result<Survey, PublishError>) -> ClusterDNSProviderStatus {
    let (zones, missing): (&BTreeSet<Name>, Vec<String>) = match asked {
        Ok(survey) => {
            let missing = survey.faults.iter();
            let missing = missing.filter(|(_, error)| matches!(error, PublishError::ZoneMissing(_)));
            (&survey.zones, missing.map(|(zone, _)| zone.to_string()).collect())
        }
        Err(error) if of_error(error).0.truth() == Truth::Unknown => {
            return old.clone();
        }
        Err(_) => return ClusterDNSProviderStatus::default(),
    };
    ClusterDNSProviderStatus {
        zones: zones.iter().take(LISTED).map(ToString::to_string).collect(),
        zone_count: match asked {
            Ok(survey) if survey.credentials == Credentials::Foreign => None,
            Ok(_) | Err(_) => i32::try_from(zones.len()).ok(),
        },
        missing_zones: missing,
        ..ClusterDNSProviderStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn said(asked: &Result<Survey, PublishError>) -> ClusterDNSProviderStatus {
        provider(&ClusterDNSProviderStatus::default(), Some(3), asked, at(7))
    }

    /// `Status/Reason` of both conditions.
    fn verdicts(asked: &Result<Survey, PublishError>) -> [String; 2] {
        let status = said(asked);
        let kinds: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(kinds, ["Ready", "CredentialsValid"]);
        [0, 1].map(|at| {
            format!(
                "{}/{}",
                status.conditions[at].status, status.conditions[at].reason
            )
        })
    }

    fn survey(zones: &[&str], faults: &[(&str, PublishError)]) -> Survey {
        Survey {
            credentials: Credentials::Accepted,
            zones: zones.iter().map(|zone| name(zone)).collect(),
            faults: faults
                .iter()
                .map(|(zone, error)| (name(zone), error.clone()))
                .collect(),
        }
    }

    #[test]
    fn every_outcome_has_its_verdicts() {
        let missing = ("b.example", PublishError::ZoneMissing(name("b.example")));
        let refused = ("a.example", PublishError::Refused("a.example".to_owned(), 5));
        let key = ("c.example", PublishError::Credentials);
        let unclear = Survey {
            credentials: Credentials::Unclear,
            ..survey(&[], std::slice::from_ref(&missing))
        };
        let foreign = Survey {
            credentials: Credentials::Foreign,
            ..Survey::default()
        };
        for (asked, ready, credentials) in [
            (
                Ok(survey(&["a.example"], &[])),
                "True/AsDeclared",
                "True/Accepted",
            ),
            (
                Ok(survey(&["a.example"], std::slice::from_ref(&missing))),
                "False/ZoneMissing",
                "True/Accepted",
            ),
            (
                Ok(survey(&["a.example"], std::slice::from_ref(&refused))),
                "False/ChangeRefused",
                "True/Accepted",
            ),
            (
                Ok(survey(&[], &[refused, missing, key])),
                "False/CredentialsRefused",
                "False/Rejected",
            ),
            (Ok(unclear), "False/ZoneMissing", "Unknown/NotShown"),
            (Ok(foreign), "True/AsDeclared", "Unknown/NotOurs"),
            (
                Err(PublishError::Unreachable),
                "Unknown/ProviderUnreachable",
                "Unknown/Unreachable",
            ),
            (
                Err(PublishError::Resting(at(0), 5)),
                "Unknown/ProviderUnreachable",
                "Unknown/Unreachable",
            ),
            (
                Err(PublishError::Throttled(Duration::ZERO)),
                "Unknown/Throttled",
                "Unknown/Throttled",
            ),
            (
                Err(PublishError::Credentials),
                "False/CredentialsRefused",
                "False/Rejected",
            ),
            (
                Err(PublishError::SecretMissing("pdns".to_owned(), "key".to_owned())),
                "False/CredentialsMissing",
                "False/SecretMissing",
            ),
            (
                Err(PublishError::Misconfigured("x")),
                "False/Misconfigured",
                "Unknown/NotShown",
            ),
        ] {
            let [said_ready, said_credentials] = verdicts(&asked);
            assert_eq!(
                (said_ready.as_str(), said_credentials.as_str()),
                (ready, credentials),
                "{asked:?}"
            );
            let word = credentials.split('/').next_back().unwrap();
            assert!(
                REASONS.iter().any(|(reason, _)| *reason == word),
                "{word} is listed"
            );
        }
    }

    #[test]
    fn a_rest_is_said_with_its_end_and_its_cause() {
        let status = said(&Err(PublishError::Resting(at(43_400), 5)));
        assert_eq!(
            status.conditions[0].message,
            "the provider does not answer; after 5 failures in a row it is not asked until about 12:03:20 UTC"
        );
    }

    #[test]
    fn zones_are_sorted_bounded_and_counted_and_the_missing_ones_named() {
        let many: Vec<String> = (0..60).map(|n| format!("z{n:02}.example")).collect();
        let many: Vec<&str> = many.iter().rev().map(String::as_str).collect();
        let faults: Vec<(String, PublishError)> = (0..8)
            .map(|n| format!("m{n}.example"))
            .map(|zone| (zone.clone(), PublishError::ZoneMissing(name(&zone))))
            .collect();
        let faults: Vec<(&str, PublishError)> = faults.iter().map(|(z, e)| (z.as_str(), e.clone())).collect();
        let status = said(&Ok(survey(&many, &faults)));
        assert_eq!((status.zones.len(), status.zone_count), (50, Some(60)));
        assert_eq!(
            (status.zones[0].as_str(), status.zones[49].as_str()),
            ("z00.example", "z49.example")
        );
        assert_eq!(status.missing_zones.len(), 8);
        assert_eq!(
            status.conditions[0].message,
            "the provider does not serve the zone m0.example; create it there or correct spec.zones of the provider \
             object; it is not in order for m1.example, m2.example, m3.example, m4.example, m5.example and 2 more \
             either"
        );
    }

    #[test]
    fn silence_keeps_what_was_seen_and_a_refusal_does_not() {
        let before = said(&Ok(survey(&["a.example"], &[])));
        let silent = provider(&before, Some(3), &Err(PublishError::Unreachable), at(9));
        assert_eq!(
            (silent.zones.as_slice(), silent.zone_count),
            (["a.example".to_owned()].as_slice(), Some(1))
        );
        let refused = provider(&silent, Some(3), &Err(PublishError::Credentials), at(10));
        assert_eq!((refused.zones.len(), refused.zone_count), (0, None));
    }

    #[test]
    fn nothing_moves_while_nothing_changes() {
        let asked = Ok(survey(&["a.example"], &[]));
        let before = said(&asked);
        assert_eq!(provider(&before, Some(3), &asked, at(99)), before);
    }
}
