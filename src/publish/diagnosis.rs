//! Why ExternalDNS has not published what a DNSEndpoint says. Its status proves nothing, so this reasons from what
//! DNS holds; pure.

use std::collections::BTreeSet;

use super::Live;
use crate::name::Name;
use crate::record::{Key, RecordType, Records, Value, Values};

/// The causes that can be told apart from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No ExternalDNS has ever listed the object. It lists records at its provider first, so one whose provider does not
    /// let it looks the same.
    NobodyWatches,
    /// An ExternalDNS has listed an earlier generation of the object, and not this one.
    ReadingStopped,
    /// The zone holds a mangled form of a TXT value.
    TextForm,
    /// Records that ExternalDNS does not own keep it from the name.
    ForeignOwner,
    /// Nothing of the zone appears.
    ZoneFiltered,
    /// Nothing of this record type appears, but other types do.
    TypeNotManaged,
    /// None of these.
    Unexplained,
}

impl Reason {
    /// One word for conditions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NobodyWatches => "NobodyWatches",
            Self::ReadingStopped => "ReadingStopped",
            Self::TextForm => "TextForm",
            Self::ForeignOwner => "ForeignOwner",
            Self::ZoneFiltered => "ZoneFiltered",
            Self::TypeNotManaged => "TypeNotManaged",
            Self::Unexplained => "Unexplained",
        }
    }

    /// What it means and what to do, without values.
    pub fn text(self) -> &'static str {
        match self {
            Self::NobodyWatches => {
                "no ExternalDNS has read the DNSEndpoint; run one with --source=crd that watches the operator's \
                 namespace, with --label-filter=app.kubernetes.io/managed-by=maildomain or none; if one runs, its provider \
                 may refuse its credentials, which it meets before it reads anything: see its log"
            }
            Self::ReadingStopped => {
                "ExternalDNS has read an earlier version of the DNSEndpoint but not this one: it runs no more, or it cannot \
                 list the records at its provider (unreachable, or its credentials are refused); see whether it runs, \
                 and its log"
            }
            Self::TextForm => {
                "the TXT value is in DNS in another form; correct spec.externalDNS.txtFormat of the provider object \
                 (the rfc2136 provider of ExternalDNS mangles TXT records in either form)"
            }
            Self::ForeignOwner => {
                "the name holds records that ExternalDNS does not own, so it creates nothing there; leave their \
                 types out of --managed-record-types, or hand them over, or publish through another provider \
                 (ownership is looked for under --txt-prefix=extdns-%{record_type}.)"
            }
            Self::ZoneFiltered => {
                "nothing of this zone appears in DNS although ExternalDNS has read the DNSEndpoint; check \
                 --domain-filter, --policy and the zone at the provider, and see in the log of ExternalDNS whether its \
                 provider refuses the changes (one refused value, as of a wrong spec.externalDNS.txtFormat, keeps all of \
                 them away)"
            }
            Self::TypeNotManaged => {
                "other record types appear but none of this one; add it to --managed-record-types, and check that \
                 the provider of ExternalDNS takes it (a refused value keeps its whole batch away)"
            }
            Self::Unexplained => {
                "ExternalDNS has read the DNSEndpoint and other records of this type are in DNS, but not this one; see in \
                 the log of ExternalDNS whether its provider refuses the changes (one refused value keeps its whole \
                 batch away). With --events-emit=RecordError it writes an event to the DNSEndpoint too"
            }
        }
    }
}

/// Everything that the judgement rests on.
#[derive(Debug, Clone, Copy)]
pub struct Symptoms<'a> {
    /// Generation of the DNSEndpoint.
    pub generation: i64,
    /// The generation that an ExternalDNS has listed.
    pub observed: Option<i64>,
    /// What the DNSEndpoint asks for.
    pub expected: &'a Records,
    /// What is missing, or stands there with other values.
    pub missing: &'a [Key],
    /// What DNS holds at those names.
    pub live: &'a Live,
    /// RRsets in `live` with an ownership record of ExternalDNS, or where that could not be asked.
    pub owned: &'a BTreeSet<Key>,
    /// The zones of the provider object.
    pub zones: &'a [Name],
}

impl Symptoms<'_> {
    /// Whether everything that is wanted of this RRset is in DNS.
    fn appeared(&self, key: &Key) -> bool {
        self.expected.get(key).is_some_and(|wanted| {
            !wanted.is_empty()
                && wanted
                    .iter()
                    .all(|value| self.live_values(key).any(|v| v == value))
        })
    }

    fn live_values(&self, key: &Key) -> impl Iterator<Item = &Value> {
        let rrset = self.live.rrsets.get(key);
        rrset.into_iter().flat_map(|r| r.records.values().flatten())
    }

    /// Whether the name holds an RRset that ExternalDNS neither owns nor could have written.
    fn is_taken(&self, name: &Name) -> bool {
        self.live
            .rrsets
            .keys()
            .filter(|key| key.name == *name)
            .any(|key| !self.owned.contains(key) && !self.is_wholly_ours(key))
    }

    /// Whether the RRset is just what was asked for. Foreign values that were copied into what is asked for are there
    /// without ours when ExternalDNS did not write it.
    fn is_wholly_ours(&self, key: &Key) -> bool {
        let only_wanted = |wanted: &Values| self.live_values(key).all(|value| wanted.contains(value));
        self.appeared(key) && self.expected.get(key).is_some_and(only_wanted)
    }

    /// Whether DNS holds what becomes of a wanted TXT value when its quotes are published, its words are joined, or
    /// it is cut at a semicolon.
    fn is_mangled(&self, key: &Key) -> bool {
        let bare = |text: &str| text.replace(['"', ' ', '\\'], "");
        let wanted = self.expected.get(key).into_iter().flatten();
        let mut wanted = wanted.filter_map(Value::as_txt);
        wanted.any(|wanted| {
            self.live_values(key).filter_map(Value::as_txt).any(|found| {
                found != wanted
                    && (bare(found) == bare(wanted)
                        || wanted.split_once(';').is_some_and(|(head, _)| head == found))
            })
        })
    }
}

/// The cause, and the RRset that shows it best. `None` when nothing is missing.
pub fn diagnose<'a>(symptoms: &Symptoms<'a>) -> Option<(Reason, &'a Key)> {
    let missing = symptoms.missing;
    let first = missing.first()?;
    match symptoms.observed {
        None => return Some((Reason::NobodyWatches, first)),
        Some(seen) if seen < symptoms.generation => return Some((Reason::ReadingStopped, first)),
        Some(_) => {}
    }
    if let Some(key) = missing.iter().find(|key| symptoms.is_mangled(key)) {
        return Some((Reason::TextForm, key));
    }
    // A name without other records tells more: there only ExternalDNS itself can be the cause.
    let Some(key) = missing.iter().find(|key| !symptoms.is_taken(&key.name)) else {
        return Some((Reason::ForeignOwner, first));
    };
    let zone = key.name.longest_match(symptoms.zones);
    let mut appeared = symptoms
        .expected
        .keys()
        .filter(|other| other.name.longest_match(symptoms.zones) == zone && symptoms.appeared(other))
        .map(|other| other.record_type)
        .peekable();
    if appeared.peek().is_none() {
        return Some((Reason::ZoneFiltered, key));
    }
    let has_type = |record_type: RecordType| move |other: RecordType| other == record_type;
    if appeared.any(has_type(key.record_type)) {
        Some((Reason::Unexplained, key))
    } else {
        Some((Reason::TypeNotManaged, key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::publish::LiveRrset;

    fn key(name: &str, record_type: RecordType) -> Key {
        Key::new(Name::parse(name).unwrap(), record_type)
    }

    fn txt(text: &str) -> Value {
        Value::Txt(text.to_owned())
    }

    fn expected() -> Records {
        Records::from([
            (key("example.com", RecordType::Txt), [txt("v=spf1 a -all")].into()),
            (
                key("_dmarc.example.com", RecordType::Txt),
                [txt("v=DMARC1; p=none")].into(),
            ),
            (
                key("mail.example.com", RecordType::A),
                [Value::A([192, 0, 2, 4].into())].into(),
            ),
        ])
    }

    /// What stands in DNS, as owner, type and value; everything expected and not there is missing.
    fn judge(observed: Option<i64>, live: &[(&str, Value)], owned: &[Key]) -> Option<(Reason, Key)> {
        judge_for(&expected(), observed, live, owned)
    }

    fn judge_for(
        expected: &Records,
        observed: Option<i64>,
        live: &[(&str, Value)],
        owned: &[Key],
    ) -> Option<(Reason, Key)> {
        let mut found = Live::default();
        for (name, value) in live {
            let rrset: &mut LiveRrset = found.rrsets.entry(key(name, value.record_type())).or_default();
            rrset.records.insert(value.to_string(), Some(value.clone()));
        }
        let missing: Vec<Key> = expected
            .iter()
            .filter(|(key, wanted)| {
                let live: BTreeMap<_, _> = found
                    .rrsets
                    .get(key)
                    .map(|r| r.records.clone())
                    .unwrap_or_default();
                !wanted.iter().all(|value| live.contains_key(&value.to_string()))
            })
            .map(|(key, _)| key.clone())
            .collect();
        let zones = [Name::parse("example.com").unwrap()];
        let symptoms = Symptoms {
            generation: 2,
            observed,
            expected,
            missing: &missing,
            live: &found,
            owned: &owned.iter().cloned().collect(),
            zones: &zones,
        };
        diagnose(&symptoms).map(|(reason, key)| (reason, key.clone()))
    }

    fn spf() -> (&'static str, Value) {
        ("example.com", txt("v=spf1 a -all"))
    }

    fn dmarc() -> (&'static str, Value) {
        ("_dmarc.example.com", txt("v=DMARC1; p=none"))
    }

    fn host() -> (&'static str, Value) {
        ("mail.example.com", Value::A([192, 0, 2, 4].into()))
    }

    #[test]
    fn nothing_is_said_when_nothing_is_missing() {
        assert_eq!(judge(None, &[spf(), dmarc(), host()], &[]), None);
    }

    #[test]
    fn a_generation_that_nobody_read_is_the_first_suspect() {
        for (observed, cause) in [(None, Reason::NobodyWatches), (Some(1), Reason::ReadingStopped)] {
            let (reason, _) = judge(observed, &[], &[]).unwrap();
            assert_eq!(reason, cause);
        }
    }

    #[test]
    fn an_empty_zone_is_filtered() {
        assert_eq!(judge(Some(2), &[], &[]).unwrap().0, Reason::ZoneFiltered);
        // Somebody's web site at the apex does not hide that the other names are empty too.
        let site = ("example.com", Value::A([192, 0, 2, 80].into()));
        assert_eq!(
            judge(Some(2), &[site], &[]),
            Some((Reason::ZoneFiltered, key("_dmarc.example.com", RecordType::Txt)))
        );
    }

    #[test]
    fn a_type_that_never_appears_is_not_managed() {
        let (reason, key) = judge(Some(2), &[host()], &[]).unwrap();
        assert_eq!(
            (reason, key.record_type),
            (Reason::TypeNotManaged, RecordType::Txt)
        );
        assert_eq!(
            judge(Some(2), &[spf(), dmarc()], &[]).unwrap().0,
            Reason::TypeNotManaged
        );
    }

    #[test]
    fn foreign_records_at_the_only_missing_name_are_the_cause() {
        let foreign = ("example.com", txt("google-site-verification=x"));
        let live = [foreign, dmarc(), host()];
        let apex = key("example.com", RecordType::Txt);
        assert_eq!(
            judge(Some(2), &live, &[]),
            Some((Reason::ForeignOwner, apex.clone()))
        );
        // With its ownership record it is an older value of ExternalDNS itself.
        assert_eq!(
            judge(Some(2), &live, std::slice::from_ref(&apex)),
            Some((Reason::Unexplained, apex))
        );
    }

    #[test]
    fn a_foreign_text_that_was_copied_into_what_is_wanted_stays_foreign() {
        let mut expected = expected();
        let apex = key("example.com", RecordType::Txt);
        expected.entry(apex.clone()).or_default().insert(txt("token=1"));
        let live = [("example.com", txt("token=1")), dmarc(), host()];
        assert_eq!(
            judge_for(&expected, Some(2), &live, &[]),
            Some((Reason::ForeignOwner, apex))
        );
    }

    #[test]
    fn mangled_text_is_recognised() {
        for text in ["v=DMARC1", "\"v=DMARC1; p=none\"", "v=DMARC1;p=none"] {
            let live = [spf(), host(), ("_dmarc.example.com", txt(text))];
            assert_eq!(judge(Some(2), &live, &[]).unwrap().0, Reason::TextForm, "{text}");
        }
    }
}
