//! Nothing secret is ever shown: not in logs, whatever their level, not in status, events, metrics or the ledger.
//!
//! The operator goes through good and bad days with an API key, imported "keys" and answers of the provider that all hold
//! a canary, and with true private keys. Then everything that it ever said is searched for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::{Operator, Site, SiteOptions, USUAL, apply, eventually, kubectl, run, var};

#[test]
fn no_secret_is_ever_shown() {
    let (key, answer, import) = (canary(), canary(), canary());
    let api = Api::new(&key);
    let options = SiteOptions {
        api: Some(api.url()),
        api_key: Some(key.clone()),
        log: "trace",
        ..SiteOptions::default()
    };
    let site = Site::with("secrets", options);
    let mut heard = Heard::default();
    heard.secrets.extend([key, answer.clone(), import.clone()]);
    import_garbage(&site, &import);
    apply(&site.manifest(&USUAL.replace("keys: [", IMPORTED)));
    site.apply_signer();

    // Bad days: the provider answers anything, and says something that it should not.
    let operator = site.operator();
    let json = format!("{{\"error\": \"{answer}\", \"errors\": [\"{answer}\"], \"rrsets\": \"{answer}\"}}");
    for (status, reason) in [
        (500, "ProviderUnreachable"),
        (401, "CredentialsRefused"),
        (302, "ChangeRefused"),
        (200, "ProviderUnreadable"),
        (422, "ZoneMissing"),
    ] {
        api.set(Behaviour {
            all: Some((status, json.clone())),
            writes: None,
        });
        look_again(&site);
        wait_for_reason(&site, reason, status);
        heard.listen(&site, &operator);
    }
    api.set(Behaviour {
        all: None,
        writes: Some((422, json)),
    });
    look_again(&site);
    wait_for_reason(&site, "ChangeRefused", 422);
    heard.listen(&site, &operator);

    // Good days, but for the imports; then those too.
    api.set(Behaviour::default());
    look_again(&site);
    site.wait_for("Published", "True");
    site.wait_for("KeysReady", "False/KeyPending");
    heard.listen(&site, &operator);
    import_a_key(&site);
    look_again(&site);
    site.wait_for("KeysReady", "True");
    site.wait_for("Ready", "True");
    heard.listen(&site, &operator);

    // Damage to a record and loss of a key.
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    let lost = site.key_secrets().pop().expect("there are key Secrets");
    kubectl(&["-n", &site.namespace, "delete", &lost]);
    eventually(
        "a new key takes its place",
        || site.key_secrets(),
        |now| now.len() == 2 && !now.contains(&lost),
    );
    site.wait_for("KeysReady", "True");
    site.wait_for("Verified", "True");
    heard.listen(&site, &operator);

    // A new life, with tokens and keys read again.
    assert_eq!(operator.stop(), Some(0));
    let operator = site.operator();
    site.wait_for_passes(2);
    heard.listen(&site, &operator);
    site.delete();
    heard.listen(&site, &operator);
    heard.holds_no_secret();
}

/// Everything that was said, and everything that must not have been.
#[derive(Default)]
struct Heard {
    said: Vec<(String, String)>,
    secrets: BTreeSet<String>,
}

impl Heard {
    /// Takes down all that the operator shows at this moment, and the secrets that there are.
    fn listen(&mut self, site: &Site, operator: &Operator) {
        let (tenant, system) = (&site.namespace, &site.system);
        let provider = format!("clusterdnsprovider/{}", site.provider);
        let claim = format!("maildomainclaim/{}", site.zone);
        for command in [
            vec![
                "-n",
                tenant,
                "get",
                "maildomains,dkimsigners,events",
                "-o",
                "yaml",
                "--show-managed-fields",
            ],
            vec!["-n", tenant, "describe", "maildomains,dkimsigners"],
            vec![
                "-n",
                system,
                "get",
                "recordledgers,leases,configmaps,events",
                "-o",
                "yaml",
                "--show-managed-fields",
            ],
            vec!["get", &provider, &claim, "-o", "yaml", "--ignore-not-found"],
        ] {
            self.said
                .push((format!("kubectl {}", command.join(" ")), kubectl(&command)));
        }
        self.said
            .push(("the zone".to_owned(), site.zone_at_provider().join("\n")));
        self.said.push(("/metrics".to_owned(), operator.page("metrics")));
        self.said.push(("the log".to_owned(), operator.log()));
        self.said.push(("the audit log".to_owned(), audit_log(site)));
        self.secrets.extend(site.tokens());
        self.secrets.extend(private_keys(tenant));
    }

    fn holds_no_secret(&self) {
        let all = |word: &str| self.said.iter().any(|(_, text)| text.contains(word));
        for word in [
            "ProviderUnreachable",
            "CredentialsRefused",
            "ProviderUnreadable",
            "ChangeRefused",
            "KeyPending",
            "KeyReplaced",
            "DriftMended",
            "maildomain_condition{",
            "v=DKIM1; k=rsa; p=",
            " TRACE ",
            "entries:",
            "/secrets/",
        ] {
            assert!(
                all(word),
                "{word} was never said: this test looks in the wrong places"
            );
        }
        assert!(
            self.secrets.len() > 20,
            "only {} secrets are known",
            self.secrets.len()
        );
        // A key as text, and as the octets of that text.
        let marks = ["PRIVATE KEY-----".to_owned(), octets("PRIVATE KEY-----")];
        for secret in self.secrets.iter().chain(&marks) {
            for (place, text) in &self.said {
                if let Some(at) = text.find(secret.as_str()) {
                    let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
                    let line: String = text[from..]
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .chars()
                        .take(600)
                        .collect();
                    panic!("{place} shows the secret {secret}:\n{line}");
                }
            }
        }
    }
}

fn octets(text: &str) -> String {
    text.bytes()
        .map(|octet| octet.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Pieces of each private key that stands in a Secret of the namespace: its lines but the first half, where an RSA key
/// holds its public part, and how they look in the data of a Secret.
fn private_keys(namespace: &str) -> Vec<String> {
    let text = kubectl(&["-n", namespace, "get", "secrets", "-o", "json"]);
    let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let data = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|secret| secret["data"].as_object());
    let values = data.flat_map(|data| data.values()).filter_map(Value::as_str);
    values
        .filter_map(|value| String::from_utf8(STANDARD.decode(value).ok()?).ok())
        .filter(|text| text.starts_with("-----BEGIN"))
        .flat_map(|pem| {
            let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let secret = &lines[lines.len() / 2..];
            let encoded = STANDARD.encode(&pem);
            let middle = encoded.len() / 2;
            let mut pieces: Vec<String> = secret
                .iter()
                .map(|line| (*line).to_owned())
                .filter(|l| l.len() > 20)
                .collect();
            pieces.push(encoded[middle..middle + 40].to_owned());
            pieces
        })
        .collect()
}

fn audit_log(site: &Site) -> String {
    let log = std::fs::read_to_string(var("WORLD_AUDIT_LOG")).expect("the audit log can be read");
    let user = format!("system:serviceaccount:{}:maildomain", site.system);
    let lines = log.lines().filter(|line| line.contains(&user));
    lines.fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

fn canary() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel makes one");
    format!("CANARY-{}", uuid.trim())
}

/// Waits until a condition has this reason, in words that are the operator's.
fn wait_for_reason(site: &Site, reason: &str, status: u16) {
    eventually(
        &format!("{reason} because of {status}"),
        || site.status().conditions,
        |all| all.iter().any(|c| c.reason == reason),
    );
}

/// Brings the next pass at once: after a failure the operator waits ever longer.
fn look_again(site: &Site) {
    let label = format!("look=at-{}", site.requests().len());
    kubectl(&[
        "-n",
        &site.namespace,
        "label",
        "--overwrite",
        "maildomain",
        "mail",
        &label,
    ]);
}

const IMPORTED: &str = "keys: [{name: framed, import: {selector: framed, secretRef: {name: imported, key: framed}}}, \
                        {name: bare, import: {selector: bare, secretRef: {name: imported, key: bare}}}, ";

/// Two things that are no keys.
fn import_garbage(site: &Site, canary: &str) {
    imports(
        site,
        &format!("-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\n"),
        canary,
    );
}

/// Two keys.
fn import_a_key(site: &Site) {
    let make = || run("openssl", &["genpkey", "-algorithm", "ed25519"]);
    imports(site, &make(), &make());
}

fn imports(site: &Site, framed: &str, bare: &str) {
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "imported", "namespace": site.namespace},
        "stringData": {"framed": framed, "bare": bare},
    });
    apply(&secret.to_string());
}

/// The provider's API as the operator meets it: honest, which means PowerDNS, or telling something of its own. It knows
/// another key than PowerDNS, so that the one that the operator holds is in no other place.
struct Api {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
}

/// Status and body of the answers that are not PowerDNS's.
#[derive(Default, Clone)]
struct Behaviour {
    all: Option<(u16, String)>,
    writes: Option<(u16, String)>,
}

impl Api {
    fn new(key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("the port is known");
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let (shared, key) = (Arc::clone(&behaviour), key.to_owned());
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let now = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let key = key.clone();
                // A caller that hangs up early is none of its business.
                thread::spawn(move || drop(serve(caller, &now, &key)));
            }
        });
        Self { address, behaviour }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }
}

/// One request, one answer, one connection.
fn serve(mut caller: TcpStream, now: &Behaviour, key: &str) -> io::Result<()> {
    let mut reader = BufReader::new(caller.try_clone()?);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_write = !head.starts_with("GET ");
    match now.all.as_ref().or(now.writes.as_ref().filter(|_| is_write)) {
        Some((status, text)) => write!(
            caller,
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nLocation: /{text}\r\nX-Said: {text}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len(),
        ),
        None => {
            // Operators of other tests probe every provider, with the key that PowerDNS knows.
            let mut server = TcpStream::connect(var("PDNS_API").trim_start_matches("http://"))?;
            let head = head.replace(key, &var("PDNS_API_KEY"));
            write!(server, "{head}Connection: close\r\n\r\n")?;
            server.write_all(&body)?;
            io::copy(&mut server, &mut caller)?;
            caller.shutdown(Shutdown::Both)
        }
    }
}
