//! Two replicas: one leads, the other waits. Whoever leads, only one ever writes.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::harness::{Dig, Operator, Site, USUAL, apply, eventually, kubectl};

/// What the harness configures.
const LEASE: Duration = Duration::from_secs(6);

fn lease(site: &Site) -> LeaseSpec {
    let text = kubectl(&[
        "-n",
        &site.system,
        "get",
        "lease",
        "maildomain",
        "-o",
        "json",
        "--ignore-not-found",
    ]);
    if text.is_empty() {
        return LeaseSpec::default();
    }
    let lease: Lease = serde_json::from_str(&text).expect("kubectl prints a Lease");
    lease.spec.unwrap_or_default()
}

/// The replica that holds a lease. Each life of it has another number behind its name.
fn holder(lease: &LeaseSpec) -> &str {
    let identity = lease.holder_identity.as_deref().unwrap_or_default();
    identity.split('_').next().unwrap_or_default()
}

#[track_caller]
fn wait_for_leader(site: &Site, replica: &str) -> LeaseSpec {
    let what = format!("{replica} leads");
    eventually(&what, || lease(site), |lease| holder(lease) == replica)
}

/// Waits until the second replica leads; the time since the first one said for the last time that it does. `before` is
/// the lease when that one was still there.
#[track_caller]
fn handover(site: &Site, before: &LeaseSpec) -> Duration {
    let mut renewed = before.renew_time.as_ref().expect("the first one led").0;
    let taken = eventually(
        "two leads",
        || {
            let lease = lease(site);
            if holder(&lease) != "two" {
                renewed = lease.renew_time.as_ref().map_or(renewed, |time| time.0);
            }
            lease
        },
        |lease| holder(lease) == "two",
    );
    let acquired = taken.acquire_time.expect("a lease says when it was taken").0;
    Duration::try_from(acquired.duration_since(renewed)).expect("it was taken later")
}

/// The usual declaration with another address.
fn variant(site: &Site, address: &str) -> String {
    site.manifest(&USUAL.replace("203.0.113.4", address))
}

/// Waits until the declaration with this address is fulfilled.
#[track_caller]
fn wait_for_variant(site: &Site, address: &str) {
    let name = format!("mail.{}", site.zone);
    let told = || [&site.ns1, &site.ns2].map(|server| Dig::ask(server, &name, "A"));
    eventually("the new address is published", told, |all| {
        all.iter().all(|a| a == &[address])
    });
    site.wait_for("Ready", "True");
}

/// Who wrote, and who held the lease, in the order of time; each turn once.
fn turns(site: &Site) -> [Vec<String>; 2] {
    let requests = site.requests();
    let of = |lease: bool| {
        let wrote = requests
            .iter()
            .filter(|r| r.writes() && (r.resource == "leases") == lease);
        let mut turns: Vec<String> = wrote.map(|r| r.replica.clone()).collect();
        turns.dedup();
        turns
    };
    [of(false), of(true)]
}

/// The first replica leads and has done its work; the second one waits.
fn two(name: &str) -> (Site, Operator, Operator) {
    let site = Site::new(name);
    let one = site.replica("one");
    wait_for_leader(&site, "one");
    let two = site.replica("two");
    apply(&site.usual());
    site.wait_for("Ready", "True");
    assert_eq!(
        turns(&site),
        [["one"], ["one"]],
        "who does not lead writes nothing"
    );
    (site, one, two)
}

#[test]
fn when_the_leader_is_killed_the_other_takes_over() {
    let (site, one, mut two) = two("leaderkilled");
    apply(&variant(&site, "203.0.113.5"));
    let before = lease(&site);
    one.kill();
    let killed = Instant::now();
    let waited = handover(&site, &before);
    eprintln!("leading {:?} after the leader was killed", killed.elapsed());
    assert!(
        waited >= LEASE,
        "after {waited:?} only, a living leader might still have written"
    );
    assert!(waited < LEASE + Duration::from_secs(15), "{waited:?}");
    wait_for_variant(&site, "203.0.113.5");
    assert!(two.is_running());
    assert_eq!(turns(&site), [["one", "two"], ["one", "two"]]);
}

#[test]
fn a_leader_that_is_asked_to_stop_hands_over_at_once() {
    let (site, one, _two) = two("leaderstopped");
    apply(&variant(&site, "203.0.113.5"));
    let before = lease(&site);
    let asked = Instant::now();
    assert_eq!(one.stop(), Some(0), "to be asked to stop is no error");
    let ended = asked.elapsed();
    let waited = handover(&site, &before);
    eprintln!(
        "ended {ended:?} after SIGTERM, the other leads after {:?}",
        asked.elapsed()
    );
    assert!(
        waited < LEASE,
        "{waited:?}: the lease was given back, nobody need wait for its end"
    );
    wait_for_variant(&site, "203.0.113.5");
    assert_eq!(turns(&site), [["one", "two"], ["one", "two"]]);
}

#[test]
fn a_leader_that_was_frozen_ends_itself_and_writes_nothing_more() {
    let (site, mut leader, mut other) = two("leaderfrozen");
    let serial = |site: &Site| Dig::ask(&site.ns1, &site.zone, "SOA");
    // Frozen at rest, just before it would write, and in the middle of it or right after.
    for (round, moment) in [None, Some(300), Some(900)].into_iter().enumerate() {
        let names = ["one", "two"];
        if let Some(moment) = moment {
            apply(&variant(&site, &format!("203.0.113.{}", 10 + round)));
            // Not for something to happen: the moment of the freeze is what the test chooses.
            std::thread::sleep(Duration::from_millis(moment));
        }
        leader.freeze(true);
        // The frozen one may have finished; the next one must have something to write.
        let address = format!("203.0.113.{}", 20 + round);
        apply(&variant(&site, &address));
        wait_for_leader(&site, names[(round + 1) % 2]);
        wait_for_variant(&site, &address);
        let before = serial(&site);
        leader.freeze(false);
        assert_eq!(leader.wait(), Some(1), "to lose the lease is an error");
        assert!(leader.log().contains("the lease was lost"), "{}", leader.log());
        site.wait_for_passes(1);
        assert_eq!(serial(&site), before, "the zone was not touched");
        leader = std::mem::replace(&mut other, site.replica(names[round % 2]));
    }
    assert!(leader.is_running());
    let expected = ["one", "two", "one", "two"];
    assert_eq!(turns(&site), [expected, expected]);
}
