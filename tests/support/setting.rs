//! One case as it stands on disk: the declaration, the cluster around it, and what was written before.
//!
//! `domain.yaml` holds the MailDomain and what else the cluster has: ClusterDNSProviders (annotations `read` and `write`
//! say how their API behaves, `rival` holds a record that somebody puts in the place of ours after every pass), MailDomainClaims of other namespaces, the Namespace with its labels. A line of
//! `ledger.txt` is `Purpose settled|unsettled|until=<time> owner TYPE data`, `before owner [ttl] TYPE data` (what the entry
//! of that RRset had replaced), `planned` (the declaration is the one that the ledger was written for),
//! `retiring <time> owner TYPE <value or term>`, `asked owner TYPE` or `proven <sender>/<key> <selector>`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use maildomain::api::{ClusterDNSProvider, MailDomain, MailDomainClaim, TAKE_OVER};
use maildomain::name::Name;
use maildomain::plan::{Before, Marks, Written, owner_key};
use maildomain::protocol::Purpose;
use maildomain::publish::PublishError;
use maildomain::record::{Key, RecordType};
use maildomain::tenancy::{Home, Provider};
use serde::de::DeserializeOwned;

use crate::pass::{CLUSTER, OWNER};
use crate::zone::{Line, Zone, lines};

/// What a provider's API does when it is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behaviour {
    /// Reading fails.
    pub(crate) read: Option<PublishError>,
    /// Writing fails.
    pub(crate) write: Option<PublishError>,
    /// Writing is taken and nothing comes of it.
    pub(crate) swallows: bool,
    /// Only DNS shows what became of a write.
    pub(crate) hands_over: bool,
    /// The record that somebody puts in the place of ours after every pass.
    pub(crate) rival: Option<String>,
}

/// A case.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) object: MailDomain,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) foreign_claims: Vec<Name>,
    /// In the order of the spec's references.
    pub(crate) providers: Vec<Provider>,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    pub(crate) zone: Zone,
    pub(crate) overrides: String,
    pub(crate) written: BTreeMap<Key, Written>,
    /// RRsets that somebody was asked to add.
    pub(crate) asked: BTreeSet<Key>,
    /// Whether the declaration is newer than what the ledger was written for.
    pub(crate) explains: bool,
    /// Keys that are proven as they are declared: slot and selector.
    pub(crate) proven: Vec<(String, String)>,
}

impl Setting {
    pub(crate) fn read(case: &Path) -> Self {
        let yaml = std::fs::read_to_string(case.join("domain.yaml")).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        let object: MailDomain = of_kind(&documents, "MailDomain").remove(0);
        let definitions: Vec<ClusterDNSProvider> = of_kind(&documents, "ClusterDNSProvider");
        let references = object.spec.publishing.provider_refs.iter();
        let providers: Vec<Provider> = references
            .map(|reference| provider(&reference.name, &definitions, &object))
            .collect();
        let claims: Vec<MailDomainClaim> = of_kind(&documents, "MailDomainClaim");
        let optional = |file| std::fs::read_to_string(case.join(file)).unwrap_or_default();
        let ledger = optional("ledger.txt");
        let of = |word: &str| {
            let prefix = format!("{word} ");
            let said = lines(&ledger).filter_map(move |line| line.strip_prefix(&prefix));
            said.map(str::to_owned).collect::<Vec<_>>()
        };
        let (proven, before, asked) = (of("proven"), of("before"), of("asked"));
        let others = ["proven ", "before ", "asked ", "retiring ", "planned"];
        let records = lines(&ledger).filter(|line| !others.iter().any(|word| line.starts_with(word)));
        let mut written: BTreeMap<Key, Written> = BTreeMap::new();
        for (key, entry) in records.map(|line| ledger_entry(line, &providers)) {
            // Several lines of one RRset are its values.
            let values = entry.values.clone();
            written.entry(key).or_insert(entry).values.extend(values);
        }
        for line in &before {
            remember_before(&mut written, line);
        }
        for line in &of("retiring") {
            retire(&mut written, line);
        }
        let mut zone = Zone::parse(&std::fs::read_to_string(case.join("zone.txt")).unwrap());
        sign(&mut written, &mut zone, &object, &providers);
        Self {
            labels: labels(&documents),
            foreign_claims: claims
                .iter()
                .filter_map(|claim| Name::parse(claim.metadata.name.as_deref()?).ok())
                .collect(),
            behaviours: definitions.iter().map(behaviour).collect(),
            zone,
            overrides: optional("live.txt"),
            written,
            explains: !lines(&ledger).any(|line| line == "planned"),
            asked: asked.iter().map(|line| rrset(line)).collect(),
            proven: proven.iter().map(|line| proven_key(line)).collect(),
            providers,
            object,
        }
    }

    /// What a person says about the owner text of somebody else.
    pub(crate) fn take_over(&self) -> Option<&str> {
        let annotations = self.object.metadata.annotations.as_ref()?;
        annotations.get(TAKE_OVER).map(String::as_str)
    }

    /// The names of providers whose success is seen in DNS only.
    pub(crate) fn deferred(&self) -> BTreeSet<String> {
        let handing = self
            .behaviours
            .iter()
            .filter(|(_, behaviour)| behaviour.hands_over);
        handing.map(|(name, _)| name.clone()).collect()
    }

    /// Whether some provider does not do what it is told, so that a plan comes back.
    pub(crate) fn is_hindered(&self) -> bool {
        let mut behaviours = self.behaviours.values();
        behaviours.any(|behaviour| behaviour.write.is_some() || behaviour.swallows)
    }

    /// How a provider behaves.
    pub(crate) fn behaviour(&self, provider: &str) -> Behaviour {
        self.behaviours.get(provider).cloned().unwrap_or_default()
    }
}

/// Who has a ledger has signed the zone. A case that is about the owner text has a line of its own in `ledger.txt`.
fn sign(written: &mut BTreeMap<Key, Written>, zone: &mut Zone, object: &MailDomain, providers: &[Provider]) {
    let is_told = written.values().any(|entry| entry.purpose == Purpose::Owner);
    let domain = Name::parse(&object.spec.domain);
    let Some(key) = domain.ok().and_then(|domain| owner_key(&domain)) else {
        return;
    };
    let served = providers
        .iter()
        .any(|p| key.name.longest_match(&p.zones).is_some());
    if written.is_empty() || is_told || !served {
        return;
    }
    let line = format!(
        "{key} \"v=maildomain1; cluster={CLUSTER}; uid={}; epoch=1\"",
        OWNER.uid
    );
    written.extend([ledger_entry(&format!("Owner settled {line}"), providers)]);
    zone.add(Line::parse(&line));
}

fn of_kind<T: DeserializeOwned>(documents: &[serde_json::Value], kind: &str) -> Vec<T> {
    let matching = documents.iter().filter(|document| document["kind"] == kind);
    matching
        .map(|document| serde_json::from_value(document.clone()).unwrap_or_else(|e| panic!("{kind}: {e}")))
        .collect()
}

fn labels(documents: &[serde_json::Value]) -> BTreeMap<String, String> {
    let namespace = documents.iter().find(|document| document["kind"] == "Namespace");
    namespace.map_or_else(BTreeMap::new, |namespace| {
        serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap()
    })
}

/// A provider that the case does not define serves the domain and allows everybody.
fn provider(name: &str, definitions: &[ClusterDNSProvider], object: &MailDomain) -> Provider {
    let defined = definitions
        .iter()
        .find(|definition| definition.metadata.name.as_deref() == Some(name));
    if let Some(definition) = defined {
        return Provider::new(name, &definition.spec);
    }
    let spec = serde_json::json!({
        "zones": [object.spec.domain],
        "allow": [{"namespaceSelector": {}, "domains": ["*"]}],
    });
    Provider::new(name, &serde_json::from_value(spec).unwrap())
}

fn behaviour(definition: &ClusterDNSProvider) -> (String, Behaviour) {
    let zone = || Name::parse(&definition.spec.zones[0]).unwrap();
    let says = |annotation: &str| {
        let annotations = definition.metadata.annotations.as_ref()?;
        annotations.get(annotation).map(String::as_str)
    };
    let error = |word: &str| {
        let known = [
            PublishError::Unreachable,
            PublishError::Credentials,
            PublishError::SecretMissing("pdns".into(), "api-key".into()),
            PublishError::ZoneMissing(zone()),
            PublishError::Refused(zone().to_string(), 422),
            PublishError::Throttled(std::time::Duration::from_secs(30)),
        ];
        let found = known.into_iter().find(|error| error.reason() == word);
        found.unwrap_or_else(|| panic!("no such behaviour: {word}"))
    };
    let behaviour = Behaviour {
        read: says("read").map(error),
        write: says("write").filter(|word| *word != "swallowed").map(error),
        swallows: says("write") == Some("swallowed"),
        hands_over: definition.spec.external_dns.is_some(),
        rival: says("rival").map(str::to_owned),
    };
    (definition.metadata.name.clone().unwrap(), behaviour)
}

fn proven_key(line: &str) -> (String, String) {
    let (id, selector) = line
        .split_once(' ')
        .unwrap_or_else(|| panic!("not a proven key: {line}"));
    (id.to_owned(), selector.to_owned())
}

fn rrset(line: &str) -> Key {
    let (owner, kind) = line
        .split_once(' ')
        .unwrap_or_else(|| panic!("not an RRset: {line}"));
    Key::new(Name::parse(owner).unwrap(), RecordType::parse(kind).unwrap())
}

fn remember_before(written: &mut BTreeMap<Key, Written>, line: &str) {
    let Line {
        owner,
        ttl,
        kind,
        data,
    } = Line::parse(line);
    let entry = written.get_mut(&rrset(&format!("{owner} {kind}")));
    let entry = entry.unwrap_or_else(|| panic!("no entry for what stood before: {line}"));
    let before = entry.before.get_or_insert(Before {
        ttl,
        records: BTreeSet::new(),
    });
    before.records.insert(data);
}

fn retire(written: &mut BTreeMap<Key, Written>, line: &str) {
    let [until, owner, kind, what] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("not something that retires: {line}");
    };
    let entry = written.get_mut(&rrset(&format!("{owner} {kind}")));
    let entry = entry.unwrap_or_else(|| panic!("no entry for what retires: {line}"));
    entry
        .marks
        .retiring
        .insert(what.to_owned(), until.parse().unwrap());
}

fn ledger_entry(line: &str, providers: &[Provider]) -> (Key, Written) {
    let [purpose, state, record] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("not a ledger line: {line}");
    };
    let record = Line::parse(record);
    let value = record.value().unwrap_or_else(|| panic!("not a record: {line}"));
    let key = Key::new(Name::parse(&record.owner).unwrap(), value.record_type());
    let home = providers.iter().find_map(|provider| {
        let zone = key.name.longest_match(&provider.zones)?.clone();
        Some(Home {
            provider: provider.name.clone(),
            zone,
        })
    });
    let withdraw_after: Option<Timestamp> = state.strip_prefix("until=").map(|time| time.parse().unwrap());
    assert!(
        withdraw_after.is_some() || ["settled", "unsettled"].contains(&state),
        "{line}"
    );
    let written = Written {
        home: home.unwrap_or_else(|| panic!("no provider for {line}")),
        purpose: Purpose::parse(purpose).unwrap_or_else(|| panic!("no such purpose: {line}")),
        values: [value].into(),
        settled: state != "unsettled",
        withdraw_after,
        before: None,
        marks: Marks::default(),
    };
    (key, written)
}
