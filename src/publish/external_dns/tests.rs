//! What answers of name servers mean, without a name server; and the calls to a scripted API server.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value as Json, json};

use super::seen::{gather, questions};
use super::*;
use crate::lookup::Server;
use crate::lookup::looker::LookerConfig;
use crate::lookup::{Direct, Failure};
use crate::publish::Change;
use crate::record::Value;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(owner: &str, record_type: RecordType) -> Key {
    Key::new(name(owner), record_type)
}

fn server(last: u8) -> Server {
    Server {
        name: name("ns.example"),
        address: [192, 0, 2, last].into(),
    }
}

fn records(text: &str) -> Answer {
    Answer::Records {
        values: [Value::Txt(text.to_owned())].into(),
        aliases: Vec::new(),
        ttl: 300,
    }
}

fn gathered(answers: Vec<Answer>) -> Result<Vec<String>, PublishError> {
    let asked = key("example.com", RecordType::Txt);
    let servers = answers
        .into_iter()
        .zip(1..)
        .map(|(answer, n)| (server(n), answer));
    let direct = Direct {
        answers: BTreeMap::from([(asked.clone(), servers.collect())]),
        unreachable: BTreeMap::new(),
    };
    let live = gather(&name("example.com"), &BTreeSet::from([asked.clone()]), &direct)?;
    Ok(live
        .rrsets
        .get(&asked)
        .map(|rrset| rrset.records.keys().cloned().collect())
        .unwrap_or_default())
}

#[test]
fn absent_and_unknown_stay_apart() {
    let nothing = || Answer::NoData { negative_ttl: 60 };
    let failed = Answer::Failed;
    let missing = || Err(PublishError::ZoneMissing(name("example.com")));
    for (answers, found) in [
        (vec![records("a"), records("b")], Ok(vec!["\"a\"", "\"b\""])),
        (vec![records("a"), nothing()], Ok(vec!["\"a\""])),
        (vec![records("a"), failed(Failure::Timeout)], Ok(vec!["\"a\""])),
        (vec![nothing(), failed(Failure::Timeout)], Ok(vec![])),
        (vec![Answer::NxDomain { negative_ttl: 1 }], Ok(vec![])),
        (
            vec![failed(Failure::Timeout), failed(Failure::Refused)],
            Err(PublishError::Unreachable),
        ),
        (vec![failed(Failure::Refused), failed(Failure::Lame)], missing()),
        (vec![], Err(PublishError::Unreachable)),
    ] {
        let found = found.map(|texts| texts.into_iter().map(str::to_owned).collect());
        assert_eq!(gathered(answers.clone()), found, "{answers:?}");
    }
}

#[test]
fn a_name_whose_servers_are_unknown_is_not_absent() {
    let keys = BTreeSet::from([key("example.com", RecordType::Txt)]);
    let direct = Direct {
        answers: BTreeMap::new(),
        unreachable: BTreeMap::from([(name("example.com"), Failure::ServFail)]),
    };
    assert_eq!(
        gather(&name("example.com"), &keys, &direct),
        Err(PublishError::Unreachable)
    );
}

#[test]
fn records_behind_an_alias_do_not_stand_at_the_name() {
    let answer = Answer::Records {
        values: [Value::Txt("x".to_owned())].into(),
        aliases: vec![name("elsewhere.example")],
        ttl: 1,
    };
    assert_eq!(gathered(vec![answer]), Ok(vec![]));
}

#[test]
fn reverse_names_are_asked_for_ptr_only_there() {
    let types = |owner: &str| -> Vec<RecordType> {
        questions(&BTreeSet::from([name(owner)]))
            .into_iter()
            .map(|k| k.record_type)
            .collect()
    };
    assert!(types("4.2.0.192.in-addr.arpa").contains(&RecordType::Ptr));
    assert!(!types("example.com").contains(&RecordType::Ptr));
    assert!(types("example.com").contains(&RecordType::Cname));
}

#[test]
fn ownership_is_denied_only_by_servers_that_answered() {
    let heritage = || records("heritage=external-dns,external-dns/owner=x");
    let failed = || Answer::Failed(Failure::Timeout);
    for (answers, unowned) in [
        (vec![heritage()], false),
        (vec![failed()], false),
        (vec![], false),
        (vec![records("other")], true),
        (vec![Answer::NxDomain { negative_ttl: 1 }, failed()], true),
    ] {
        let answers = answers.into_iter().map(|a| ((), a)).collect();
        assert_eq!(is_surely_unowned(Some(&answers)), unowned, "{answers:?}");
    }
    assert_eq!(
        registry_key(&key("_dmarc.example.com", RecordType::Txt))
            .unwrap()
            .name
            .as_str(),
        "extdns-txt._dmarc.example.com"
    );
}

/// An API server with one optional object that notes the requests.
#[derive(Clone, Default)]
struct Scripted {
    object: Arc<Mutex<Option<Json>>>,
    writes: Arc<Mutex<Vec<(String, Json)>>>,
}

impl Scripted {
    fn answer(&self, method: &str, body: Json) -> (u16, Json) {
        let mut object = self.object.lock().unwrap();
        if method != "GET" {
            self.writes
                .lock()
                .unwrap()
                .push((method.to_owned(), body.clone()));
        }
        let status = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                          "reason": reason, "message": "secret upstream text"}),
            )
        };
        match (method, object.as_ref()) {
            ("GET", Some(found)) => (200, found.clone()),
            ("GET", None) => status(404, "NotFound"),
            ("DELETE", _) => {
                *object = None;
                (
                    200,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
                )
            }
            ("POST", Some(_)) => status(409, "AlreadyExists"),
            _ => {
                let mut stored = body;
                stored["metadata"]["uid"] = json!("u1");
                stored["metadata"]["resourceVersion"] = json!("7");
                stored["metadata"]["generation"] = json!(1);
                *object = Some(stored.clone());
                (200, stored)
            }
        }
    }

    fn publisher(&self) -> ExternalDns {
        let looker = Looker::new(LookerConfig {
            resolver_only: true,
            ..LookerConfig::default()
        });
        let routes = Router::new().fallback(serve).with_state(self.clone());
        let client = kube::Client::new(routes, "maildomain");
        ExternalDns::new(
            client,
            "maildomain",
            "edns",
            Arc::new(looker),
            TxtFormat::Quoted,
            Duration::from_mins(5),
        )
    }

    fn taken_writes(&self) -> Vec<(String, Json)> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }
}

async fn serve(State(server): State<Scripted>, method: Method, bytes: Bytes) -> impl IntoResponse {
    let body = serde_json::from_slice(&bytes).unwrap_or(Json::Null);
    let (code, answer) = server.answer(method.as_str(), body);
    (StatusCode::from_u16(code).unwrap(), answer.to_string())
}

fn plan(texts: &[&str]) -> ProviderPlan {
    let values: Values = texts.iter().map(|t| Value::Txt((*t).to_owned())).collect();
    ProviderPlan {
        domain: name("example.com"),
        changes: Vec::new(),
        state: BTreeMap::from([(key("example.com", RecordType::Txt), (3600, values))]),
    }
}

#[tokio::test]
async fn the_object_is_made_kept_changed_and_removed() {
    let server = Scripted::default();
    let publisher = server.publisher();
    publisher
        .apply(&plan(&["v=spf1 -all"]), &Lead::undisputed())
        .await
        .unwrap();
    assert_eq!(server.taken_writes()[0].0, "POST");
    assert_eq!(
        publisher.observed(&name("example.com")).await,
        Ok(Some((1, None)))
    );

    publisher
        .apply(&plan(&["v=spf1 -all"]), &Lead::undisputed())
        .await
        .unwrap();
    assert_eq!(server.taken_writes(), [], "the second pass writes nothing");

    publisher
        .apply(&plan(&["v=spf1 a -all"]), &Lead::undisputed())
        .await
        .unwrap();
    let (method, body) = server.taken_writes().remove(0);
    assert_eq!(method, "PATCH");
    assert_eq!(body["metadata"]["resourceVersion"], "7");
    assert_eq!(
        body["spec"]["endpoints"][0]["targets"],
        json!(["\"v=spf1 a -all\""])
    );

    publisher.apply(&plan(&[]), &Lead::undisputed()).await.unwrap();
    let (method, body) = server.taken_writes().remove(0);
    assert_eq!(method, "DELETE");
    assert_eq!(
        body["preconditions"],
        json!({"uid": "u1", "resourceVersion": "7"})
    );
    publisher.apply(&plan(&[]), &Lead::undisputed()).await.unwrap();
    assert_eq!(server.taken_writes(), []);
}

/// ExternalDNS adds before it removes, and a name with an alias has nothing else.
#[test]
fn an_alias_and_other_records_wait_for_each_other() {
    let alias = (
        key("mail.example.com", RecordType::Cname),
        Value::Cname(name("vendor.example")),
    );
    let host = (
        key("mail.example.com", RecordType::A),
        Value::A([192, 0, 2, 1].into()),
    );
    let beside = (
        key("a.example.com", RecordType::A),
        Value::A([192, 0, 2, 2].into()),
    );
    for (comes, goes) in [(&alias, &host), (&host, &alias)] {
        let state = [comes, &beside].map(|(key, value)| (key.clone(), (60, Values::from([value.clone()]))));
        let change = Change {
            zone: name("example.com"),
            key: goes.0.clone(),
            before: None,
            ttl: 60,
            keep: BTreeSet::new(),
            ours: Values::new(),
        };
        let mut plan = ProviderPlan {
            domain: name("example.com"),
            changes: vec![change],
            state: BTreeMap::from(state),
        };
        assert!(in_turn(&plan).keys().eq([&beside.0]), "{} waits", comes.0);
        // Another type of the same kind goes.
        plan.changes[0].key.record_type = RecordType::Aaaa;
        assert_eq!(in_turn(&plan).contains_key(&host.0), comes == &host);
        plan.changes.clear();
        assert_eq!(in_turn(&plan), plan.state);
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_left_alone() {
    let server = Scripted::default();
    let object_name = endpoint::object_name(&name("example.com"), "edns");
    *server.object.lock().unwrap() = Some(json!({
        "apiVersion": "externaldns.k8s.io/v1alpha1", "kind": "DNSEndpoint",
        "metadata": {"name": object_name}, "spec": {}}));
    for texts in [&["v=spf1 -all"][..], &[]] {
        assert_eq!(
            server.publisher().apply(&plan(texts), &Lead::undisputed()).await,
            Err(PublishError::EndpointTaken(object_name.clone()))
        );
    }
    assert_eq!(server.taken_writes(), []);
}

#[tokio::test]
async fn a_cluster_without_the_definition_says_so() {
    assert_eq!(
        Scripted::default().publisher().probe(&name("example.com")).await,
        Err(PublishError::Endpoint)
    );
}
