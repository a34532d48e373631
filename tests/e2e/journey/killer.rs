//! An operator behind a proxy that kills it: once before, during or after each call of the provider that a step makes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maildomain::api::LedgerEntry;

use crate::harness::{Act, Call, Operator, ProviderProxy, Reply, Site};

/// When the operator dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The provider has not heard of the call.
    Before,
    /// The provider has done it, the operator does not know.
    During,
    /// The operator has the answer.
    After,
}

/// The operator of a life.
pub struct Killer {
    site: Arc<Site>,
    moment: Option<Moment>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    operator: Option<Operator>,
    frozen: bool,
    step: String,
    met: BTreeSet<String>,
    deaths: usize,
}

impl Killer {
    /// Starts the operator.
    pub fn start(site: &Arc<Site>, proxies: Vec<ProviderProxy>, moment: Option<Moment>) -> Arc<Self> {
        let state = Mutex::new(State {
            operator: Some(site.operator()),
            ..State::default()
        });
        let killer = Arc::new(Self {
            site: Arc::clone(site),
            moment,
            state,
        });
        for (provider, proxy) in proxies.iter().enumerate() {
            let weak = Arc::downgrade(&killer);
            proxy.rule(move |call| match weak.upgrade() {
                Some(killer) => killer.met(provider, call),
                None => Act::Ask,
            });
        }
        killer
    }

    /// Does something while the operator stands still; it goes on with [`Self::go_on`].
    pub fn frozen<T>(&self, act: impl FnOnce() -> T) -> T {
        {
            let mut state = self.state();
            state.frozen = true;
            state.operator.as_ref().expect("it lives").freeze(true);
        }
        act()
    }

    /// A step begins.
    pub fn go_on(&self, step: &str) {
        let mut state = self.state();
        step.clone_into(&mut state.step);
        if std::mem::take(&mut state.frozen) {
            state.operator.as_ref().expect("it lives").freeze(false);
        }
    }

    /// A call passes by: the first of its kind in a step costs the operator's life.
    fn met(self: &Arc<Self>, provider: usize, call: &Call) -> Act {
        let Some(moment) = self.moment else {
            self.ledger_knows(call);
            return Act::Ask;
        };
        let first = {
            let mut state = self.state();
            // A frozen operator has a call under way; it is met when it is made again.
            let kind = format!(
                "{} at {provider}: {} {} {}",
                state.step,
                call.method,
                call.zone(),
                timeless(&call.body)
            );
            !state.frozen && state.met.insert(kind)
        };
        if !first {
            return Act::Ask;
        }
        match moment {
            Moment::Before => {
                self.kill();
                Act::Reply(Reply::Reset)
            }
            Moment::During => {
                let killer = Arc::clone(self);
                Act::AskThen(Box::new(move |_| {
                    killer.kill();
                    Reply::Reset
                }))
            }
            Moment::After => {
                let killer = Arc::clone(self);
                Act::AskThen(Box::new(move |answer| {
                    std::thread::spawn(move || killer.kill());
                    Reply::Whole(answer)
                }))
            }
        }
    }

    /// What a call writes is in the ledger before.
    fn ledger_knows(&self, call: &Call) {
        let written = call.written();
        if written.is_empty() {
            return;
        }
        let ledger = self.site.whole_ledger();
        let left = ledger.leaving.into_iter().flat_map(|departure| departure.entries);
        let entries: Vec<LedgerEntry> = ledger.entries.into_iter().chain(left).collect();
        for rrset in written {
            let known = |name: &str, kind: &str| {
                let mut entries = entries.iter();
                entries.any(|entry| entry.name == name && entry.record_type == kind)
            };
            if !known(&rrset.name, &rrset.record_type) {
                self.state()
                    .met
                    .insert(format!("UNKNOWN {} {}", rrset.name, rrset.record_type));
            }
        }
    }

    /// SIGKILL, and the next life.
    fn kill(&self) {
        let mut state = self.state();
        if let Some(operator) = state.operator.take() {
            operator.kill();
            state.deaths += 1;
        }
        state.operator = Some(self.site.operator());
    }

    /// The ledger knew of everything; and whoever was to die, died often.
    pub fn assert_each_call_was_met(&self) {
        let state = self.state();
        let unknown: Vec<&String> = state
            .met
            .iter()
            .filter(|kind| kind.starts_with("UNKNOWN"))
            .collect();
        assert!(unknown.is_empty(), "the ledger did not know of {unknown:#?}");
        if self.moment.is_some() {
            let writes = state.met.iter().filter(|kind| kind.contains(": PATCH ")).count();
            assert!(
                writes >= 6 && state.deaths >= 12,
                "{writes} writes, {} deaths",
                state.deaths
            );
            eprintln!(
                "{:?}: {} deaths, {writes} of them at a write",
                self.moment, state.deaths
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body without the epochs of owner texts: a write that is made again later is the same write.
fn timeless(body: &str) -> String {
    let mut parts = body.split("epoch=");
    let head = parts.next().unwrap_or_default().to_owned();
    parts.fold(head, |text, part| {
        text + "epoch=" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}
