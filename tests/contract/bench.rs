//! Where a case works: the publisher under test, somebody else's hand, and the operator's own way from what is wanted to
//! what is written.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use maildomain::intent::Conduct;
use maildomain::lead::Lead;
use maildomain::name::Name;
use maildomain::plan::{Leaving, Mandate, Plan, Situation, Written, group, plan};
use maildomain::protocol::{Purpose, Sharing, Wanted};
use maildomain::publish::{Live, ProviderPlan, PublishError, Publisher};
use maildomain::record::{Key, RecordType, Value};
use maildomain::tenancy::Home;
use tokio::runtime::{Builder, Runtime};

use crate::hand::Hand;
use crate::process::{Scratch, Server};
use crate::relay::Relay;

/// The zones that every server has, and what is a zone of its own below the first.
pub const ZONES: [&str; 4] = [
    "corp.test",
    "near.corp.test",
    "113.0.203.in-addr.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];
pub const PROVIDER: &str = "corp";
pub const TTL: u32 = 300;

/// One publisher at work.
pub struct Bench {
    /// The publisher under test.
    pub publisher: Box<dyn Publisher>,
    /// The same with credentials that the server does not take.
    pub revoked: Vec<Box<dyn Publisher>>,
    /// The same with credentials that may only read, where the server knows such.
    pub reader: Option<Box<dyn Publisher>>,
    /// The publisher under test, with a gate of its own.
    pub gated: Option<Box<dyn Publisher>>,
    /// What the server says when it is asked too much, and what is told of that.
    pub overload: Vec<(u16, PublishError)>,
    /// Between the publishers and the server.
    pub relay: Option<Relay>,
    /// Somebody else.
    pub hand: Arc<dyn Hand>,
    runtime: Runtime,
    ledger: RefCell<BTreeMap<Key, Written>>,
    /// In this order: the server ends before its directory goes.
    server: RefCell<Option<Server>>,
    scratch: Option<Scratch>,
}

impl Bench {
    pub fn new(publisher: Box<dyn Publisher>, hand: Arc<dyn Hand>) -> Self {
        Self {
            publisher,
            revoked: Vec::new(),
            reader: None,
            gated: None,
            overload: Vec::new(),
            relay: None,
            hand,
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            ledger: RefCell::default(),
            server: RefCell::default(),
            scratch: None,
        }
    }

    pub fn with_server(self, server: Server, scratch: Scratch) -> Self {
        Self {
            server: RefCell::new(Some(server)),
            scratch: Some(scratch),
            ..self
        }
    }

    /// Another publisher, made of the one that was, in the context of the bench's runtime.
    pub fn wrap(self, make: impl FnOnce(Box<dyn Publisher>) -> Box<dyn Publisher>) -> Self {
        let context = self.runtime.enter();
        let publisher = make(self.publisher);
        drop(context);
        Self { publisher, ..self }
    }

    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    pub fn stop_server(&self) {
        self.server.borrow_mut().as_mut().unwrap().kill();
        assert!(self.scratch.is_some());
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn read(&self, zone: &str, names: &[&str]) -> Result<Live, PublishError> {
        let names = names.iter().copied().map(name).collect();
        self.wait(self.publisher.read(&name(zone), &names))
    }

    /// What the operator would do: one read of each zone, and the plan.
    #[track_caller]
    pub fn plan(&self, wanted: &[Wanted], ttl: u32) -> Plan {
        self.try_plan(wanted, ttl).unwrap()
    }

    /// The same, where a zone may refuse to be read.
    pub fn try_plan(&self, wanted: &[Wanted], ttl: u32) -> Result<Plan, PublishError> {
        let groups = group(wanted.to_vec());
        let mut names: BTreeMap<Home, BTreeSet<Name>> = BTreeMap::new();
        let ledger = self.ledger.borrow();
        for name in groups
            .iter()
            .map(|g| &g.key.name)
            .chain(ledger.keys().map(|k| &k.name))
        {
            names.entry(home(name)).or_default().insert(name.clone());
        }
        let places = groups.iter().map(|g| (g.key.name.clone(), Ok(home(&g.key.name))));
        let live = names.iter().map(|(home, names)| {
            let read = self.wait(self.publisher.read(&home.zone, names));
            Ok((home.clone(), Ok(read?)))
        });
        let live: Result<BTreeMap<_, _>, PublishError> = live.collect();
        Ok(plan(&Situation {
            writer: None,
            domain: &name("corp.test"),
            mandate: Mandate::END,
            ttl,
            groups: &groups,
            places: &places.collect(),
            live: &live?,
            written: &ledger,
            leaving: &Leaving::new(),
            now: Timestamp::from_second(1_000_000_000).unwrap(),
            drain: SignedDuration::ZERO,
            conduct: Conduct::default(),
            told: &BTreeSet::new(),
            asked: &BTreeSet::new(),
        }))
    }

    /// Carries a plan out, and remembers it as the operator does.
    pub fn apply(&self, plan: &Plan) -> Result<(), PublishError> {
        self.ledger.borrow_mut().clone_from(&plan.written);
        let Some(part) = plan.providers.get(PROVIDER) else {
            return Ok(());
        };
        self.wait(self.publisher.apply(part, &Lead::undisputed()))
    }

    /// One pass that succeeds, and a second one that finds nothing to do.
    #[track_caller]
    pub fn publish(&self, wanted: &[Wanted]) -> Plan {
        self.publish_with(wanted, TTL)
    }

    #[track_caller]
    pub fn publish_with(&self, wanted: &[Wanted], ttl: u32) -> Plan {
        let plan = self.plan(wanted, ttl);
        assert_eq!(self.apply(&plan), Ok(()), "{plan}");
        let again = self.plan(wanted, ttl);
        assert!(
            again.is_empty(),
            "a second pass would write\n{again}after\n{plan}"
        );
        assert!(again.conflicts().next().is_none(), "{again}");
        // Its ledger forgets what was removed.
        assert_eq!(self.apply(&again), Ok(()));
        plan
    }

    /// What stands there is exactly this.
    #[track_caller]
    pub fn stands(&self, owner: &str, record_type: &str, data: &[&str]) {
        let wanted: BTreeSet<String> = data.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(
            self.hand.data(owner, record_type),
            wanted,
            "{owner} {record_type}"
        );
    }
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn key(owner: &str, record_type: RecordType) -> Key {
    Key::new(name(owner), record_type)
}

fn home(owner: &Name) -> Home {
    Home {
        provider: PROVIDER.to_owned(),
        zone: zone_of(owner),
    }
}

/// The zone that holds a name.
pub fn zone_of(owner: &Name) -> Name {
    let zones = ZONES.map(name);
    owner.longest_match(&zones).unwrap().clone()
}

/// An RRset of ours alone.
pub fn alone(owner: &str, record_type: RecordType, data: &[&str]) -> Wanted {
    let values = data.iter().map(|text| Value::parse(record_type, text).unwrap());
    Wanted {
        key: key(owner, record_type),
        purpose: Purpose::Host,
        values: values.collect(),
        sharing: Sharing::Exclusive,
    }
}

/// An SPF record, beside which others may stand.
pub fn spf(owner: &str, text: &str) -> Wanted {
    Wanted {
        key: key(owner, RecordType::Txt),
        purpose: Purpose::Spf,
        values: [Value::Txt(text.to_owned())].into(),
        sharing: Sharing::Prefix("v=spf1"),
    }
}

/// The changes of a plan alone, for cases that call the publisher themselves.
pub fn part(plan: &Plan) -> ProviderPlan {
    plan.providers[PROVIDER].clone()
}
