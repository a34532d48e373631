//! What the API server says that an operator asked of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Site, eventually, var};

/// One request of a replica, answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came in, RFC 3339 with microseconds.
    pub at: String,
    /// `get`, `create`, `patch`...
    pub verb: String,
    /// `secrets`, `maildomains/status`...
    pub resource: String,
    /// Namespace of the object; empty where it has none.
    pub namespace: String,
    /// Name of the object; empty for lists and creations.
    pub name: String,
    /// The identity of the replica.
    pub replica: String,
    /// HTTP status of the answer.
    pub code: i64,
}

impl Request {
    /// Whether it changed something.
    pub fn writes(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete")
    }
}

impl Site {
    /// Every request of this site's operators that the API server granted, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.all_requests();
        requests.retain(|request| request.code < 300);
        requests
    }

    /// The same with those that were refused.
    pub fn all_requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(var("WORLD_AUDIT_LOG")).expect("the audit log can be read");
        let user = format!("system:serviceaccount:{}:maildomain", self.system);
        let credentials = self.credentials();
        let mut requests: Vec<Request> = log
            .lines()
            .filter(|line| line.contains(&user))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|event| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let object = &event["objectRef"];
                let credential =
                    text(&event["user"]["extra"]["authentication.kubernetes.io/credential-id"][0]);
                let replica = credentials
                    .iter()
                    .find(|(id, _)| credential == format!("JTI={id}"));
                Request {
                    at: text(&event["requestReceivedTimestamp"]),
                    verb: text(&event["verb"]),
                    resource: [text(&object["resource"]), text(&object["subresource"])]
                        .join("/")
                        .trim_end_matches('/')
                        .to_owned(),
                    namespace: match object["resource"].as_str() {
                        // It would be its own.
                        Some("namespaces") => String::new(),
                        _ => text(&object["namespace"]),
                    },
                    name: text(&object["name"]),
                    replica: replica.map(|(_, name)| name.clone()).unwrap_or_default(),
                    code: event["responseStatus"]["code"].as_i64().unwrap_or(i64::MAX),
                }
            })
            .collect();
        requests.sort_by(|a, b| a.at.cmp(&b.at));
        requests
    }

    /// How often the operators have begun to look after the MailDomain.
    pub fn passes(&self) -> usize {
        let begins = |r: &Request| r.resource == "namespaces" && r.name == self.namespace;
        self.requests().iter().filter(|r| begins(r)).count()
    }

    /// Waits until the operator has looked after the MailDomain so many times more, and once to the end.
    #[track_caller]
    pub fn wait_for_passes(&self, more: usize) {
        let before = self.passes();
        eventually(
            "the operator looks again",
            || self.passes(),
            |now| *now > before + more,
        );
    }

    /// The id of each replica's token, and the replica.
    fn credentials(&self) -> Vec<(String, String)> {
        let tokens = self.kubeconfigs().into_iter().map(|(replica, config)| {
            let config: Value = serde_json::from_str(&config).expect("a kubeconfig of ours is JSON");
            let token = config["users"][0]["user"]["token"].as_str().unwrap_or_default();
            let claims = token.split('.').nth(1).unwrap_or_default();
            let claims = URL_SAFE_NO_PAD.decode(claims).expect("a token has claims");
            let claims: Value = serde_json::from_slice(&claims).expect("claims are JSON");
            (claims["jti"].as_str().unwrap_or_default().to_owned(), replica)
        });
        tokens.collect()
    }
}
