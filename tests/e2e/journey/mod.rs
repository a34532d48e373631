//! The life of one domain in a zone that people have lived in: Observe, Manual, Matching, Publish, drift, Retain, Delete.
//! Before each step `maildomain plan` says what will happen to the zone, and afterwards the whole zone is compared: it has
//! changed by just that. The same life again with the operator killed before, during and after each call of the provider.

mod announced;
mod killer;
mod zone;

use std::cell::Cell;
use std::sync::Arc;

use announced::Announced;
use killer::{Killer, Moment};
use zone::{Zone, of_people};

use crate::harness::{
    Dig, House, ProviderProxy, Records, Site, SiteOptions, apply, eventually, put_all, wait_until,
};

const LIVED_IN: &str = include_str!("lived_in.txt");
const PROVIDER: &str = include_str!("provider.txt");

/// What is declared: an MTA of our own, a big provider beside it, a vendor, and names that are there already.
const DECLARED: &str = r"  hosts:
    - {name: mta.ZONE, purpose: Mail, addresses: [203.0.113.4], reverse: Check}
    - {name: shop.ZONE, purpose: Web, addresses: [198.51.100.82, '2001:db8:80::82']}
    - {name: url1234.ZONE, purpose: MessageTracking, target: links.BIG}
MORE  senders:
    - name: mta
      hosts: [mta.ZONE]
      dkim: {keys: [{name: rsa, generate: {algorithm: RSA}}, {name: ed, generate: {algorithm: Ed25519}}]}
    - {name: workspace, spf: {includes: [_spf.BIG]}}
    - {name: sendgrid, returnPath: {vendor: true}, dkim: {keys: [{name: s1, delegate: {selector: s1, target: s1.dkim.BIG}}]}}
  dmarc: {policy: Reject, aggregateReports: ['mailto:report@ZONE']}
";

const TRACKING: &str = "    - {name: trk.ZONE, purpose: MessageTracking, addresses: [203.0.113.11]}\n";

#[test]
fn every_step_of_a_life_does_what_the_plan_said() {
    Life::begin("journey", None).live();
}

#[test]
fn killed_before_each_call_a_life_ends_the_same() {
    Life::begin("journey-before", Some(Moment::Before)).live();
}

#[test]
fn killed_during_each_call_a_life_ends_the_same() {
    Life::begin("journey-during", Some(Moment::During)).live();
}

#[test]
fn killed_after_each_call_a_life_ends_the_same() {
    Life::begin("journey-after", Some(Moment::After)).live();
}

/// One life.
struct Life {
    site: Arc<Site>,
    big: String,
    operator: Arc<Killer>,
    /// The zone before any of this.
    before: Zone,
    /// Where the zone moves to.
    house: House,
    /// Whether it has.
    moved: Cell<bool>,
}

impl Life {
    fn begin(name: &str, moment: Option<Moment>) -> Self {
        let proxy = ProviderProxy::new();
        let site = Arc::new(Site::with(
            name,
            SiteOptions {
                api: Some(proxy.url()),
                leader_election: false,
                ..SiteOptions::default()
            },
        ));
        let big = format!("big-{}", site.zone);
        crate::harness::add_zone(&big);
        let fill = |zone: &str, records: &str| {
            let records = of_people(&records.replace("ZONE", &site.zone).replace("BIG", &big));
            let rrsets = records.iter().map(|((name, kind), contents)| {
                let contents = contents.iter().map(String::as_str).collect();
                (name.as_str(), kind.as_str(), contents)
            });
            put_all(zone, rrsets);
        };
        fill(&big, PROVIDER);
        fill(&site.zone, LIVED_IN);
        let before = Zone::at(&Records::of_the_world(), &site.zone);
        assert!(before.0.len() >= 60, "people have lived here: {}", before.0.len());
        let house = House::start(&site.zone);
        let second = ProviderProxy::before(&house.api());
        site.apply_second_provider(&format!("{}-new", site.provider), &second.url());
        let operator = Killer::start(&site, vec![proxy, second], moment);
        Self {
            site,
            big,
            operator,
            before,
            house,
            moved: Cell::new(false),
        }
    }

    fn live(self) {
        self.it_is_observed();
        self.it_is_manual();
        self.it_is_published();
        self.the_person_decides();
        self.a_host_comes_and_goes();
        self.drift_is_mended();
        self.it_moves();
        self.it_is_retained();
        self.it_is_deleted();
    }

    fn declared(&self, publishing: &str, more: &str) -> String {
        let spec = DECLARED
            .replace("MORE", more)
            .replace("ZONE", &self.site.zone)
            .replace("BIG", &self.big);
        format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\nmetadata: {{name: mail, namespace: {}, labels: {{mta: main}}}}\n\
             spec:\n  domain: {}\n  publishing: {{{publishing}}}\n{spec}",
            self.site.namespace, self.site.zone
        )
    }

    fn publishing(&self, more: &str) -> String {
        let which = if self.moved.get() { "-new" } else { "" };
        format!(
            "providerRefs: [{{kind: ClusterDNSProvider, name: {}{which}}}], ttlSeconds: 30, adoption: Matching, {more}",
            self.site.provider
        )
    }

    /// The zone as it stands where the domain lives.
    fn zone(&self) -> Zone {
        if self.moved.get() {
            self.new_zone()
        } else {
            self.old_zone()
        }
    }

    fn old_zone(&self) -> Zone {
        Zone::at(&Records::of_the_world(), &self.site.zone)
    }

    fn new_zone(&self) -> Zone {
        Zone::at(&self.house.records(), &self.site.zone)
    }

    /// One step: with the operator standing still something is changed and the plan is read; then the operator goes on,
    /// and the zone changes by what the plan says.
    #[track_caller]
    fn step(&self, name: &str, change: impl FnOnce(), plan: &[&str], done: impl FnOnce()) {
        let announced = self.operator.frozen(|| {
            change();
            Announced::by(&self.site, plan)
        });
        let expected = announced.applied_to(self.zone());
        self.operator.go_on(name);
        done();
        eventually(
            &format!("{name}: the zone is what the plan said"),
            || self.zone().difference(&expected),
            Vec::is_empty,
        );
    }

    /// Nothing is written, whatever the plan would be.
    #[track_caller]
    fn nothing_changes(&self, name: &str, manifest: &str, done: impl FnOnce()) {
        let before = self.zone();
        self.operator.go_on(name);
        apply(manifest);
        done();
        let now = self.zone();
        assert_eq!(now.difference(&before), Vec::<String>::new(), "{name}");
    }

    fn it_is_observed(&self) {
        let observed = self.declared("mode: Observe", "");
        self.nothing_changes("observed", &observed, || {
            self.site.wait_for("Published", "False");
            self.site.wait_for("KeysReady", "Unknown/KeyNotMade");
        });
    }

    fn it_is_manual(&self) {
        let manual = self.declared("mode: Manual", "");
        self.nothing_changes("manual", &manual, || {
            self.site.wait_for("Published", "False/ByHand");
            eventually(
                "the ledger knows both keys",
                || self.site.ledger().keys.len(),
                |count| *count >= 2,
            );
        });
    }

    fn it_is_published(&self) {
        let published = self.declared(&self.publishing("deletionPolicy: Delete"), "");
        self.step(
            "published",
            || apply(&published),
            &[],
            || {
                self.site.wait_for("Published", "False/Conflict");
                self.site.wait_for("KeysReady", "True");
            },
        );
    }

    /// SPF and DMARC of the past are a person's to change: they paste the lines that they are shown.
    fn the_person_decides(&self) {
        let offers = Announced::by(&self.site, &[]).offers;
        let names: Vec<&str> = offers.keys().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [&format!("_dmarc.{}", self.site.zone), &self.site.zone]);
        for ((name, kind), offered) in &offers {
            let standing = self.zone();
            let (_, standing) = &standing.0[&(name.clone(), kind.clone())];
            let mut contents: Vec<&str> = standing
                .iter()
                .map(String::as_str)
                .filter(|text| !text.starts_with("\"v=spf1") && !text.starts_with("\"v=DMARC1"))
                .collect();
            contents.push(offered);
            self.site.by_hand(name, kind, &contents);
        }
        for condition in ["Published", "Verified", "Ready"] {
            self.site.wait_for(condition, "True");
        }
    }

    fn a_host_comes_and_goes(&self) {
        let publishing = self.publishing("deletionPolicy: Delete");
        let more = self.declared(&publishing, &TRACKING.replace("ZONE", &self.site.zone));
        let trk = format!("trk.{}", self.site.zone);
        self.step(
            "a host comes",
            || apply(&more),
            &[],
            || {
                self.site.wait_for("Ready", "True");
                Dig::until(&self.site.ns2, &trk, "A", &["203.0.113.11"]);
            },
        );
        let less = self.declared(&publishing, "");
        self.step(
            "a host goes",
            || apply(&less),
            &[],
            || {
                // The wildcard answers again.
                Dig::until(&self.site.ns2, &trk, "A", &["198.51.100.99"]);
                self.site.wait_for("Ready", "True");
            },
        );
    }

    fn drift_is_mended(&self) {
        let mta = format!("mta.{}", self.site.zone);
        let damage = || {
            self.site.by_hand(&mta, "A", &["192.0.2.66"]);
            self.site
                .by_hand(&mta, "TXT", &["\"v=spf1 +all\"", "\"a token\""]);
            for server in [&self.site.ns1, &self.site.ns2] {
                Dig::until(server, &mta, "TXT", &["\"a token\"", "\"v=spf1 +all\""]);
            }
        };
        self.step("drift", damage, &[], || {
            Dig::until(&self.site.ns2, &mta, "A", &["203.0.113.4"]);
            self.site.wait_for("Verified", "True");
        });
    }

    /// The zone is copied to another provider, but for what the copyist overlooked; then the domain moves, the world turns to
    /// the new servers, and the copies go when their time has come.
    fn it_moves(&self) {
        let old = self.old_zone();
        let mta = format!("mta.{}", self.site.zone);
        let copied = old
            .0
            .iter()
            .filter(|((name, kind), _)| (name, kind.as_str()) != (&mta, "A"));
        self.house.copy(copied.map(|((name, kind), (ttl, contents))| {
            let contents = contents.iter().map(String::as_str).collect();
            (name.as_str(), kind.as_str(), *ttl, contents)
        }));
        self.moved.set(true);
        let there = self.declared(&self.publishing("deletionPolicy: Delete"), "");
        let announced = self.operator.frozen(|| {
            apply(&there);
            Announced::by(&self.site, &[])
        });
        let expected = announced.moved_to(self.new_zone());
        self.operator.go_on("moves");
        self.site.wait_for("Moving", "True/AwaitingDelegation");
        self.site.wait_for("Ready", "True");
        assert_eq!(self.new_zone().difference(&expected), Vec::<String>::new());
        assert_eq!(self.old_zone().difference(&old), Vec::<String>::new());

        self.house.is_delegated();
        self.operator.go_on("the world turns");
        self.site.wait_for("Moving", "True/AwaitingCaches");
        let announced = self.operator.frozen(|| {
            let due = self.site.status().moving[0].remove_after.clone();
            wait_until(due.expect("it has an end").0);
            Announced::by(&self.site, &[])
        });
        assert_eq!(self.old_zone().difference(&old), Vec::<String>::new());
        let (left, stays) = (announced.applied_to(old), self.new_zone());
        self.operator.go_on("the copies go");
        eventually(
            "the move is over",
            || self.site.condition("Moving"),
            |said| said == "-",
        );
        assert_eq!(self.old_zone().difference(&left), Vec::<String>::new());
        assert_eq!(self.new_zone().difference(&stays), Vec::<String>::new());
        self.site.wait_for("Ready", "True");
    }

    fn it_is_retained(&self) {
        let retained = self.declared(&self.publishing("deletionPolicy: Retain"), "");
        self.step(
            "retained",
            || apply(&retained),
            &[],
            || self.site.wait_for("Ready", "True"),
        );
        self.step(
            "deleted and retained",
            || self.site.delete_soon(),
            &["--delete"],
            || self.site.wait_until_gone(),
        );
        let again = self.declared(&self.publishing("deletionPolicy: Delete"), "");
        self.step(
            "created again",
            || apply(&again),
            &[],
            || self.site.wait_for("Ready", "True"),
        );
    }

    fn it_is_deleted(&self) {
        self.step(
            "deleted",
            || self.site.delete_soon(),
            &["--delete"],
            || self.site.wait_until_gone(),
        );
        self.operator.go_on("keys drain");
        let expected = self.what_is_different_at_the_end();
        eventually(
            "the keys have drained",
            || self.before.difference(&self.zone()),
            |lines| *lines == expected,
        );
        self.operator.assert_each_call_was_met();
    }

    /// What was adopted has gone with the domain, and what people did themselves has stayed.
    fn what_is_different_at_the_end(&self) -> Vec<String> {
        let lines = r#"+ _dmarc.ZONE 60 TXT "v=DMARC1; p=reject; sp=reject; rua=mailto:dmarc@ZONE; fo=1"
+ ZONE 60 TXT "v=spf1 include:_spf.BIG include:spf.crm.BIG ip4:198.51.100.200 ~all"
+ s1._domainkey.ZONE 60 CNAME s1.dkim.BIG.
+ shop.ZONE 60 A 198.51.100.82
+ shop.ZONE 60 AAAA 2001:db8:80::82
+ url1234.ZONE 60 CNAME links.BIG.
- ZONE 60 TXT "v=spf1 include:_spf.BIG include:spf.crm.BIG ip4:198.51.100.200 ip4:203.0.113.4 ~all"
- mta.ZONE 60 TXT "a token""#;
        let lines = lines.replace("ZONE", &self.site.zone).replace("BIG", &self.big);
        lines.lines().map(str::to_owned).collect()
    }
}
