//! One pass of the operator without its shell: every pure step in its order, with a zone in memory for the provider and
//! a text for the name servers. What the shell does between the steps is done here in the same way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use maildomain::api::{ACKNOWLEDGE_DELETIONS, DmarcPolicy, KeyLife, KeyStage, MailDomainStatus, Truth};
use maildomain::controller::look::negative_until;
use maildomain::intent::{Intent, Mode, Problem, parse};
use maildomain::key::PrivateKey;
use maildomain::keyring::{self, Origin, Owner, Slot};
use maildomain::lookup::{Answer, Direct, Facts, Server};
use maildomain::name::Name;
use maildomain::plan::{
    Explains, Group, Leaving, Mandate, Plan, Situation, Writer, Written, group, owner_key, plan, still_asked,
    to_weigh, war,
};
use maildomain::protocol::alignment::{self, Proof};
use maildomain::protocol::spf::Burden;
use maildomain::protocol::{self, Declaration, Evidence, PolicyGate, SigningKey, dmarc};
use maildomain::publish::seen;
use maildomain::record::{Key, RecordType};
use maildomain::status::{self, Account, KeyState, Patience, StaleAfter};
use maildomain::tenancy::{Home, Refusal, Tenant, belongs, place};
use maildomain::verify::{Verdict, verify};

use crate::dns::NameServers;
use crate::keys::pair;
use crate::provider::{LiveByHome, apply};
use crate::setting::Setting;
use crate::zone::Zone;

pub(crate) const OWNER: Owner<'static> = Owner {
    name: "case",
    uid: "11111111-2222-3333-4444-555555555555",
};
pub(crate) const CLUSTER: &str = "c1057e12-0000-4000-8000-000000000001";
const PROOF_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
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
    leaving: Leaving,
    pub(crate) asked: BTreeSet<Key>,
    lives: BTreeMap<String, KeyLife>,
    /// When every server first answered with a key, by slot.
    first_seen: BTreeMap<String, Timestamp>,
    senders_proven: bool,
    explains: bool,
    status: MailDomainStatus,
    patience: Patience,
    now: Timestamp,
}

/// A declaration that cannot be used, and what is said of it.
pub(crate) struct Refused {
    pub(crate) problems: Vec<Problem>,
    pub(crate) status: MailDomainStatus,
}

/// What came of a pass.
pub(crate) struct Passed {
    pub(crate) plan: Plan,
    pub(crate) status: MailDomainStatus,
}

impl<'a> Course<'a> {
    /// Begins, if the declaration can be used.
    pub(crate) fn begin(setting: &'a Setting) -> Result<Self, Box<Refused>> {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let old = setting.object.status.clone().unwrap_or_default();
        let intent = parse(&setting.object.spec).map_err(|problems| {
            let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let status = status::refused(&old, Some(1), "SpecInvalid", &text.join("; "), now);
            Box::new(Refused { problems, status })
        })?;
        let (slots, mut lives) = keyring::slots(&intent, OWNER, &BTreeMap::new(), &|_| false);
        let found = |slot: &Slot| {
            let made = intent.conduct.makes_keys() || !matches!(slot.origin, Origin::Own { .. });
            pair(slot).filter(|_| made)
        };
        let keys: Vec<_> = slots.into_iter().map(|slot| (found(&slot), slot)).collect();
        for (pair, slot) in &keys {
            let life = lives.get_mut(&slot.id).unwrap();
            if let Some(pair) = pair {
                keyring::found(life, pair.public());
            }
            let known = (slot.id.clone(), slot.selector.to_string());
            life.proven = setting.proven.contains(&known).then_some(Time(now));
        }
        Ok(Self {
            setting,
            keys: keys.into_iter().map(|(pair, slot)| (slot, pair)).collect(),
            intent,
            zone: setting.zone.clone(),
            written: setting.written.clone(),
            leaving: Leaving::new(),
            asked: setting.asked.clone(),
            lives,
            first_seen: BTreeMap::new(),
            senders_proven: false,
            explains: setting.explains,
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
        let (places, live) = self.ground(&names);
        let asked = self.asked.clone();
        let gate = dmarc::policy_gate(&self.intent, self.senders_proven, |key| {
            live.values()
                .flatten()
                .flat_map(|live| live.values(key))
                .collect()
        });
        let declaration = Declaration {
            intent: &self.intent,
            keys: &signing,
            policy_gate: gate,
            private_zone: false,
        };
        let groups = group(protocol::desired(&declaration));
        let mut plan = self.plan(&groups, &places, &live);
        self.explains &= !self.intent.conduct.publishes();
        self.asked = still_asked(&plan, self.intent.conduct, &asked);
        let applied = apply(self.setting, &mut self.zone, &plan, &live);
        self.written = plan.written.clone();
        self.leaving = plan.leaving.clone();
        war::count(&mut self.written, &plan, &applied, 1, self.now);
        // What counts stands in the ledger now.
        plan.reverts.clear();
        plan.written.clone_from(&self.written);
        let servers = NameServers::new(&self.zone, &self.setting.overrides);
        let to_be_seen: Vec<Group> = plan.rows.iter().map(|row| row.group.clone()).collect();
        let direct = ask(
            &servers,
            to_be_seen.iter().map(|group| group.key.clone()).collect(),
        );
        let verdicts = verify(&to_be_seen, &direct);
        let (mut findings, senders) = judge(&declaration, &servers, &direct, &verdicts);
        findings.extend(plan.note.clone());
        findings.sort();
        self.prove(&direct, &verdicts);
        let keys: Vec<KeyState> = self.keys.iter().map(|key| self.key_state(key)).collect();
        let held = gate.held_for(&senders);
        let status = status::compute(
            &Account {
                old: &self.status,
                generation: Some(1),
                conduct: self.intent.conduct,
                plan: &plan,
                applied: &applied,
                explained: &BTreeMap::new(),
                deferred: &self.setting.deferred(),
                verdicts: &verdicts,
                keys: &keys,
                findings: &findings,
                held: held.as_deref(),
                moves: &[],
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

    fn plan(
        &self,
        groups: &[Group],
        places: &BTreeMap<Name, Result<Home, Refusal>>,
        live: &LiveByHome,
    ) -> Plan {
        let acknowledged = self.setting.object.annotations().get(ACKNOWLEDGE_DELETIONS);
        let mut situation = Situation {
            domain: &self.intent.domain,
            mandate: Mandate {
                generation: 1,
                explains: if self.explains {
                    Explains::New
                } else {
                    Explains::Nothing
                },
                acknowledged: acknowledged.map(String::as_str),
                retire_after: self.intent.retire_after,
                ..Mandate::END
            },
            ttl: self.intent.ttl,
            writer: Some(self.writer()),
            conduct: self.intent.conduct,
            told: &self.setting.deferred(),
            asked: &self.asked,
            groups,
            places,
            live,
            written: &self.written,
            leaving: &self.leaving,
            now: self.now,
            drain: DRAIN,
        };
        let burdens = burdens(&situation, &NameServers::new(&self.zone, &self.setting.overrides));
        situation.mandate.burdens = &burdens;
        plan(&situation)
    }

    fn writer(&self) -> Writer<'a> {
        Writer {
            cluster: CLUSTER,
            uid: Some(OWNER.uid),
            take_over: self.setting.take_over(),
        }
    }

    fn names(&self, keys: &[SigningKey]) -> BTreeSet<Name> {
        let held = Declaration {
            intent: &self.intent,
            keys,
            policy_gate: PolicyGate::Held(DmarcPolicy::None),
            private_zone: false,
        };
        let wanted = protocol::desired(&held).into_iter().map(|w| w.key.name);
        wanted
            .chain(owner_key(&self.intent.domain).map(|key| key.name))
            .collect()
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
        let placed = names
            .iter()
            .map(|name| (name.clone(), place(&tenant, providers, name)));
        placed.collect()
    }

    /// Where names are at home and what stands there: at providers, or in DNS where nothing is published.
    fn ground(&self, names: &BTreeSet<Name>) -> (BTreeMap<Name, Result<Home, Refusal>>, LiveByHome) {
        if self.intent.conduct.mode == Mode::Publish {
            let places = self.places(names);
            let live = self.read(&places);
            return (places, live);
        }
        let Setting {
            labels,
            foreign_claims,
            ..
        } = self.setting;
        let tenant = Tenant {
            labels,
            domain: &self.intent.domain,
            foreign_claims,
        };
        let place = |name: &Name| belongs(&tenant, name).map(|()| Home::in_dns(name));
        let places = names.iter().map(|name| (name.clone(), place(name))).collect();
        let servers = NameServers::new(&self.zone, &self.setting.overrides);
        let direct = ask(&servers, seen::questions(names));
        (places, seen::by_name(names, &direct))
    }

    fn read(&self, places: &BTreeMap<Name, Result<Home, Refusal>>) -> LiveByHome {
        let mut names: BTreeMap<Home, BTreeSet<Name>> = BTreeMap::new();
        let wanted = places
            .iter()
            .filter_map(|(name, home)| Some((home.clone().ok()?, name)));
        let written = self
            .written
            .iter()
            .map(|(key, entry)| (entry.home.clone(), &key.name));
        for (home, name) in wanted.chain(written) {
            names.entry(home).or_default().insert(name.clone());
        }
        let reads = names.into_iter().map(|(home, names)| {
            let failure = self.setting.behaviour(&home.provider).read;
            (home, failure.map_or_else(|| Ok(self.zone.read(&names)), Err))
        });
        reads.collect()
    }

    /// Where a key's record stands.
    fn record(&self, slot: &Slot) -> Key {
        let record_type = match &slot.origin {
            Origin::Own { .. } | Origin::Imported { .. } | Origin::Public(_) => RecordType::Txt,
            Origin::Delegated(_) => RecordType::Cname,
        };
        Key::new(
            slot.selector.record_name(&self.intent.domain).unwrap(),
            record_type,
        )
    }

    /// As `controller::prove` does it, without a memory of negative answers.
    fn prove(&mut self, direct: &Direct, verdicts: &BTreeMap<Key, Verdict>) {
        let records: Vec<(String, Key)> = self
            .keys
            .iter()
            .map(|(slot, _)| (slot.id.clone(), self.record(slot)))
            .collect();
        for (id, key) in records {
            let unanimous = verdicts.get(&key).is_some_and(|verdict| verdict.unanimous);
            let (first, not_before) = (
                self.first_seen.remove(&id),
                negative_until(direct, &key, self.now),
            );
            let life = self.lives.get_mut(&id).unwrap();
            let first = keyring::prove(life, unanimous, first, not_before, PROOF_INTERVAL, self.now);
            self.first_seen.extend(first.map(|first| (id, first)));
        }
    }

    /// As `controller::report` tells it; no signer selects any key.
    fn key_state(&self, (slot, pair): &(Slot, Option<PrivateKey>)) -> KeyState {
        let (secret, algorithm) = match &slot.origin {
            Origin::Own {
                secret, algorithm, ..
            } => (Some(secret.clone()), Some(*algorithm)),
            Origin::Imported { secret, .. } => (Some(secret.clone()), None),
            Origin::Public(key) => (None, Some(key.algorithm())),
            Origin::Delegated(_) => (None, None),
        };
        let proven = self.lives.get(&slot.id).and_then(|life| life.proven.as_ref());
        let not_made =
            pair.is_none() && !self.intent.conduct.makes_keys() && matches!(slot.origin, Origin::Own { .. });
        let (stage, waiting_for) = match (secret.is_some(), pair, proven) {
            (true, None, _) if not_made => (KeyStage::Pending, Some("another mode")),
            (true, None, _) => (KeyStage::Pending, Some("its Secret")),
            (_, _, None) => (
                KeyStage::Published,
                Some("every authoritative server to answer with it twice"),
            ),
            (true, Some(_), Some(_)) => (KeyStage::Proven, None),
            (false, _, Some(_)) => (KeyStage::Active, None),
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
            since: proven.map(|time| time.0),
            unsure: not_made && self.intent.conduct.mode == Mode::Observe,
            not_made,
        }
    }
}

/// As `controller::look` finds them out.
fn burdens(situation: &Situation<'_>, servers: &NameServers) -> BTreeMap<Name, Burden> {
    let burden = |name: &Name, text: &str| {
        let mut facts = Facts::new(BTreeMap::new());
        for _ in 0..ROUNDS {
            let burden = protocol::spf::burden(&facts, name, text);
            let missing = facts.take_missing();
            if missing.is_empty() {
                return burden;
            }
            for key in missing {
                let answer = servers.resolve(&key);
                facts.learn(key, answer);
            }
        }
        panic!("weighing asks for ever");
    };
    let records = to_weigh(situation).into_iter();
    records
        .map(|(name, text)| (name.clone(), burden(&name, &text)))
        .collect()
}

fn ask(servers: &NameServers, keys: BTreeSet<Key>) -> Direct {
    let server = |index: usize| Server {
        name: Name::parse(&format!("ns{}.dns.example", index + 1)).unwrap(),
        address: format!("192.0.2.{}", index + 1).parse().unwrap(),
    };
    let answers = keys.into_iter().map(|key| {
        let answers = servers.answers(&key).into_iter().enumerate();
        let answers = answers.map(|(index, answer)| (server(index), answer)).collect();
        (key, answers)
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
    direct: &Direct,
    verdicts: &BTreeMap<Key, Verdict>,
) -> (Vec<maildomain::finding::Finding>, Proof) {
    let wrong = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.verified == Truth::False);
    let known: BTreeMap<Key, Answer> = wrong
        .filter_map(|(key, verdict)| Some((key.clone(), verdict.worst.clone()?)))
        .collect();
    let mut facts = Facts::new(known);
    for _ in 0..ROUNDS {
        let evidence = Evidence {
            declaration,
            facts: &facts,
            direct,
        };
        let (findings, senders) = (
            protocol::findings(&evidence),
            alignment::senders_proven(&evidence),
        );
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
