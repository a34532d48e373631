//! One pass of the operator without its shell: every pure step in its order, with a zone in memory for the provider and
//! a text for the name servers. What the shell does between the steps is done here in the same way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use maildomain::api::{DmarcPolicy, KeyAlgorithm, KeyStage, MailDomainStatus, Truth};
use maildomain::intent::{Intent, Problem, parse};
use maildomain::key::PrivateKey;
use maildomain::keyring::{self, Origin, Owner, Slot};
use maildomain::lookup::{Answer, Direct, Facts, Server};
use maildomain::name::Name;
use maildomain::plan::{Group, Plan, Situation, Step, Written, group, plan};
use maildomain::protocol::alignment::{self, Proof};
use maildomain::protocol::{self, Declaration, Evidence, PolicyGate, SigningKey, dmarc};
use maildomain::publish::{Live, PublishError};
use maildomain::record::{Key, RecordType};
use maildomain::status::{self, Account, KeyState, Patience, StaleAfter};
use maildomain::tenancy::{Home, Refusal, Tenant, place};
use maildomain::verify::{Verdict, silent_servers, verify};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::dns::NameServers;
use crate::setting::Setting;
use crate::zone::Zone;

/// Every RSA key of every case: making one takes seconds in a debug build.
pub(crate) const RSA_PEM: &str = include_str!("../data/rsa.pem");
const OWNER: Owner<'static> = Owner {
    name: "case",
    uid: "11111111-2222-3333-4444-555555555555",
};
const DRAIN: SignedDuration = SignedDuration::from_hours(120);
const STALE: StaleAfter = StaleAfter {
    misses: 3,
    time: SignedDuration::from_mins(15),
};
/// Rounds of questions, as the shell bounds them.
const ROUNDS: usize = 24;

/// A case under way.
pub(crate) struct Course<'a> {
    setting: &'a Setting,
    intent: Intent,
    keys: Vec<(Slot, Option<PrivateKey>)>,
    pub(crate) zone: Zone,
    pub(crate) written: BTreeMap<Key, Written>,
    senders_proven: bool,
    status: MailDomainStatus,
    patience: Patience,
    now: Timestamp,
}

/// What came of a pass.
pub(crate) struct Passed {
    pub(crate) plan: Plan,
    pub(crate) status: MailDomainStatus,
}

type LiveByHome = BTreeMap<Home, Result<Live, PublishError>>;

impl<'a> Course<'a> {
    /// Begins. An unusable declaration is a list of problems and the status that says so.
    pub(crate) fn begin(setting: &'a Setting) -> Result<Self, (Vec<Problem>, MailDomainStatus)> {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let old = setting.object.status.clone().unwrap_or_default();
        let intent = parse(&setting.object.spec).map_err(|problems| {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let status = status::refused(&old, Some(1), "SpecInvalid", &text.join("; "), now);
            (problems, status)
        })?;
        let (slots, _) = keyring::slots(&intent, OWNER, &BTreeMap::new(), &|_| false);
        let keys = slots.into_iter().map(|slot| (pair(&slot), slot));
        Ok(Self {
            setting,
            keys: keys.map(|(pair, slot)| (slot, pair)).collect(),
            intent,
            zone: setting.zone.clone(),
            written: setting.written.clone(),
            senders_proven: false,
            status: old,
            patience: Patience::default(),
            now,
        })
    }

    /// One pass: declare, key, publish, look, judge, say.
    pub(crate) fn pass(&mut self) -> Passed {
        let signing: Vec<SigningKey> = self
            .keys
            .iter()
            .filter_map(|(slot, pair)| keyring::signing_key(slot, pair.as_ref().map(PrivateKey::public)))
            .collect();
        let names = self.names(&signing);
        let places = self.places(&names);
        let live = self.read(&places);
        let gate = self.policy_gate(&live);
        let declaration = Declaration {
            intent: &self.intent,
            keys: &signing,
            policy_gate: gate,
            private_zone: false,
        };
        let groups = group(protocol::desired(&declaration));
        let plan = plan(&Situation {
            domain: &self.intent.domain,
            ttl: self.intent.ttl,
            groups: &groups,
            places: &places,
            live: &live,
            written: &self.written,
            now: self.now,
            drain: DRAIN,
        });
        let applied = apply(self.setting, &mut self.zone, &plan, &live);
        self.written = remembered(self.setting, &plan, &applied);
        let servers = NameServers::new(&self.zone, &self.setting.overrides);
        let direct = ask(&servers, &groups);
        let verdicts = verify(&groups, &direct);
        let (mut findings, senders) = judge(&declaration, &servers, &verdicts);
        findings.extend(silent_servers(&direct));
        findings.sort();
        let keys: Vec<KeyState> = self.keys.iter().map(|key| self.key_state(key, &verdicts)).collect();
        let held = held_for(gate, &senders);
        let status = status::compute(
            &Account {
                old: &self.status,
                generation: Some(1),
                plan: &plan,
                applied: &applied,
                explained: &BTreeMap::new(),
                deferred: &self.setting.deferred(),
                verdicts: &verdicts,
                keys: &keys,
                findings: &findings,
                held: held.as_deref(),
                bimi: self.intent.bimi.is_some(),
                now: self.now,
            },
            &mut self.patience,
            STALE,
        );
        self.senders_proven = senders == Proof::Proven;
        self.status = status.clone();
        self.now += SignedDuration::from_secs(10);
        Passed { plan, status }
    }

    fn names(&self, keys: &[SigningKey]) -> BTreeSet<Name> {
        let held = Declaration {
            intent: &self.intent,
            keys,
            policy_gate: PolicyGate::Held,
            private_zone: false,
        };
        protocol::desired(&held).into_iter().map(|w| w.key.name).collect()
    }

    fn places(&self, names: &BTreeSet<Name>) -> BTreeMap<Name, Result<Home, Refusal>> {
        let Setting {
            labels,
            foreign_claims,
            providers,
            ..
        } = self.setting;
        let tenant = Tenant {
            labels,
            domain: &self.intent.domain,
            foreign_claims,
        };
        let placed = names.iter().map(|name| (name.clone(), place(&tenant, providers, name)));
        placed.collect()
    }

    fn read(&self, places: &BTreeMap<Name, Result<Home, Refusal>>) -> LiveByHome {
        let mut names: BTreeMap<Home, BTreeSet<Name>> = BTreeMap::new();
        let wanted = places.iter().filter_map(|(name, home)| Some((home.clone().ok()?, name)));
        let written = self.written.iter().map(|(key, entry)| (entry.home.clone(), &key.name));
        for (home, name) in wanted.chain(written) {
            names.entry(home).or_default().insert(name.clone());
        }
        let reads = names.into_iter().map(|(home, names)| {
            let failure = self.setting.behaviour(&home.provider).read;
            (home, failure.map_or_else(|| Ok(self.zone.read(&names)), Err))
        });
        reads.collect()
    }

    /// As `controller::publish` decides it: proven, or already as strict.
    fn policy_gate(&self, live: &LiveByHome) -> PolicyGate {
        let wanted = self.intent.dmarc.as_ref().map(|dmarc| dmarc.policy);
        let Some(wanted) = wanted.filter(|policy| *policy != DmarcPolicy::None && !self.senders_proven) else {
            return PolicyGate::Released;
        };
        let key = Key::new(self.intent.domain.child("_dmarc").unwrap(), RecordType::Txt);
        let mut texts = live
            .values()
            .flatten()
            .filter_map(|live| live.rrsets.get(&key))
            .flat_map(|rrset| rrset.records.values().flatten());
        let strict = |text: &str| dmarc::strictness(text).is_some_and(|there| there >= wanted);
        if texts.any(|value| value.as_txt().is_some_and(strict)) {
            PolicyGate::Released
        } else {
            PolicyGate::Held
        }
    }

    /// A key is proven when every server answers with it; no signer selects any.
    fn key_state(&self, (slot, pair): &(Slot, Option<PrivateKey>), verdicts: &BTreeMap<Key, Verdict>) -> KeyState {
        let (record_type, secret, algorithm) = match &slot.origin {
            Origin::Own { secret, algorithm, .. } => (RecordType::Txt, Some(secret.clone()), Some(*algorithm)),
            Origin::Imported { secret, .. } => (RecordType::Txt, Some(secret.clone()), None),
            Origin::Public(key) => (RecordType::Txt, None, Some(key.algorithm())),
            Origin::Delegated(_) => (RecordType::Cname, None, None),
        };
        let name = slot.selector.record_name(&self.intent.domain).unwrap();
        let proven = verdicts.get(&Key::new(name, record_type)).is_some_and(|verdict| verdict.unanimous);
        let (stage, waiting_for) = match (secret.is_some(), pair, proven) {
            (true, None, _) => (KeyStage::Pending, Some("its Secret")),
            (_, _, false) => (KeyStage::Published, Some("every authoritative server")),
            (true, Some(_), true) => (KeyStage::Proven, None),
            (false, _, true) => (KeyStage::Active, None),
        };
        KeyState {
            sender: slot.sender.clone(),
            key: slot.name.clone(),
            selector: slot.selector.clone(),
            algorithm,
            fingerprint: pair.as_ref().map(|pair| pair.public().fingerprint()),
            stage,
            secret,
            waiting_for: waiting_for.map(str::to_owned),
            since: proven.then_some(self.now),
            unsure: false,
        }
    }
}

/// The private half that the Secret of a slot holds. The Secret `missing` does not exist.
fn pair(slot: &Slot) -> Option<PrivateKey> {
    match &slot.origin {
        Origin::Own {
            algorithm: KeyAlgorithm::Ed25519,
            ..
        } => {
            let mut seed = [0; 32];
            seed.iter_mut().zip(slot.id.bytes()).for_each(|(seed, byte)| *seed = byte);
            PrivateKey::generate(KeyAlgorithm::Ed25519, 0, &mut StdRng::from_seed(seed)).ok()
        }
        Origin::Imported { secret, .. } if secret == "missing" => None,
        Origin::Own { .. } | Origin::Imported { .. } => Some(PrivateKey::from_pem(RSA_PEM).unwrap()),
        Origin::Public(_) | Origin::Delegated(_) => None,
    }
}

/// Calls the providers that have something to do, or that are told a state which was not made in the dark.
fn apply(
    setting: &Setting,
    zone: &mut Zone,
    plan: &Plan,
    live: &LiveByHome,
) -> BTreeMap<String, Result<(), PublishError>> {
    let mut applied = BTreeMap::new();
    for (name, part) in &plan.providers {
        let behaviour = setting.behaviour(name);
        let blind = live.iter().any(|(home, read)| &home.provider == name && read.is_err());
        if blind || !(behaviour.hands_over || !part.changes.is_empty()) {
            continue;
        }
        if behaviour.write.is_none() && !behaviour.swallows {
            part.changes.iter().for_each(|change| zone.apply(change));
        }
        applied.insert(name.clone(), behaviour.write.map_or(Ok(()), Err));
    }
    applied
}

/// The ledger after the write: a provider that reads back what it wrote has shown that it is there.
fn remembered(
    setting: &Setting,
    plan: &Plan,
    applied: &BTreeMap<String, Result<(), PublishError>>,
) -> BTreeMap<Key, Written> {
    let mut written = plan.written.clone();
    let done = |home: &Home| {
        applied.get(&home.provider).is_some_and(Result::is_ok) && !setting.behaviour(&home.provider).hands_over
    };
    let wrote = plan.rows.iter().filter(|row| matches!(row.step, Step::Write | Step::Mend));
    for row in wrote.filter(|row| row.home.as_ref().is_some_and(done)) {
        let entry = written.get_mut(&row.group.key).unwrap();
        entry.values = row.group.values.clone();
        entry.settled = true;
    }
    written
}

fn ask(servers: &NameServers, groups: &[Group]) -> Direct {
    let server = |index: usize| Server {
        name: Name::parse(&format!("ns{}.dns.example", index + 1)).unwrap(),
        address: format!("192.0.2.{}", index + 1).parse().unwrap(),
    };
    let answers = groups.iter().map(|group| {
        let answers = servers.answers(&group.key).into_iter().enumerate();
        (group.key.clone(), answers.map(|(index, answer)| (server(index), answer)).collect())
    });
    Direct {
        answers: answers.collect(),
        unreachable: BTreeMap::new(),
    }
}

/// Runs the checks, asks what they miss, and runs them again until they miss nothing.
fn judge(
    declaration: &Declaration<'_>,
    servers: &NameServers,
    verdicts: &BTreeMap<Key, Verdict>,
) -> (Vec<maildomain::finding::Finding>, Proof) {
    let wrong = verdicts.iter().filter(|(_, verdict)| verdict.verified == Truth::False);
    let known: BTreeMap<Key, Answer> = wrong
        .filter_map(|(key, verdict)| Some((key.clone(), verdict.worst.clone()?)))
        .collect();
    let mut facts = Facts::new(known);
    for _ in 0..ROUNDS {
        let evidence = Evidence {
            declaration,
            facts: &facts,
        };
        let (findings, senders) = (protocol::findings(&evidence), alignment::senders_proven(&evidence));
        let missing = facts.take_missing();
        if missing.is_empty() {
            return (findings, senders);
        }
        for key in missing {
            let answer = servers.resolve(&key);
            facts.learn(key, answer);
        }
    }
    panic!("the checks ask for ever");
}

fn held_for(gate: PolicyGate, senders: &Proof) -> Option<String> {
    match (gate, senders) {
        (PolicyGate::Released, _) => None,
        (PolicyGate::Held, Proof::Proven) => Some("every sender is proven now".to_owned()),
        (PolicyGate::Held, Proof::Unknown) => Some("not every sender could be asked about".to_owned()),
        (PolicyGate::Held, Proof::Not(senders)) => {
            let why = senders.iter().map(|s| format!("{}: {}", s.sender, s.why));
            Some(why.collect::<Vec<_>>().join("; "))
        }
    }
}
