//! A test's own corner of the world.

use std::net::IpAddr;
use std::path::PathBuf;

use maildomain::api::{MailDomain, MailDomainStatus};

use super::{Operator, apply, dns, eventually, kubectl, run, var, world};

/// What differs from the usual corner.
pub struct SiteOptions {
    /// Address of the PowerDNS API, for a test that puts something between.
    pub api: Option<String>,
    /// API key in the provider's Secret.
    pub api_key: Option<String>,
    /// Through ExternalDNS instead of PowerDNS.
    pub external_dns: bool,
    /// Lines of the operator's configuration that come after the usual ones.
    pub config: String,
    /// Zones besides the site's own that the provider serves, as the provider object lists them.
    pub more_zones: Vec<String>,
    /// Whether the provider allows the site's namespace.
    pub allowed: bool,
    /// Whether to create the zone at all.
    pub zone_exists: bool,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            api: None,
            api_key: None,
            external_dns: false,
            config: String::new(),
            more_zones: Vec::new(),
            allowed: true,
            zone_exists: true,
        }
    }
}

/// A zone, two namespaces, a provider object and, once started, an operator.
pub struct Site {
    /// Name of the test, a DNS label; part of every other name.
    pub name: String,
    /// The zone and the domain of the MailDomain.
    pub zone: String,
    /// The tenant's namespace.
    pub namespace: String,
    /// The operator's namespace.
    pub system: String,
    /// The provider object.
    pub provider: String,
    /// Address of the first name server (PowerDNS), this zone's own.
    pub ns1: String,
    /// Address of the second one (Knot, secondary).
    pub ns2: String,
    directory: PathBuf,
}

impl Site {
    /// The usual corner.
    pub fn new(name: &str) -> Self {
        Self::with(name, SiteOptions::default())
    }

    /// A corner with differences. `name` must be a DNS label that no other test uses.
    pub fn with(name: &str, options: SiteOptions) -> Self {
        let zone = format!("{name}.example");
        let directory = std::env::temp_dir().join(format!("maildomain-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
        let (namespace, system) = (format!("{name}-tenant"), format!("{name}-system"));
        let mut site = Self {
            name: name.to_owned(),
            zone,
            provider: name.to_owned(),
            namespace,
            system,
            ns1: String::new(),
            ns2: String::new(),
            directory,
        };
        if options.zone_exists {
            site.add_zone(options.external_dns);
        }
        site.install(&options);
        site
    }

    fn add_zone(&mut self, external_dns: bool) {
        let instance = format!("--externaldns={}", self.name);
        let said = if external_dns {
            world(&["zone", "add", &self.zone, &instance])
        } else {
            world(&["zone", "add", &self.zone])
        };
        for (key, value) in said.split_whitespace().filter_map(|word| word.split_once('=')) {
            match key {
                "NS1" => value.clone_into(&mut self.ns1),
                "NS2" => value.clone_into(&mut self.ns2),
                _ => {}
            }
        }
        for server in [&self.ns1, &self.ns2] {
            assert!(server.parse::<IpAddr>().is_ok(), "world zone add said {said:?}");
        }
    }

    /// Creates the zone of a site that began without one.
    pub fn create_zone(&mut self) {
        self.add_zone(false);
    }

    fn install(&self, options: &SiteOptions) {
        for namespace in [&self.namespace, &self.system] {
            kubectl(&["create", "namespace", namespace]);
        }
        kubectl(&[
            "label",
            "namespace",
            &self.namespace,
            &format!("site={}", self.name),
        ]);
        let key = format!(
            "--from-literal=api-key={}",
            options.api_key.clone().unwrap_or_else(|| var("PDNS_API_KEY"))
        );
        kubectl(&["-n", &self.system, "create", "secret", "generic", "pdns", &key]);
        // The chart's ServiceAccount and roles, with no replica: the operator runs as a process with their token.
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/maildomain");
        let watch = format!("watchNamespaces={{{}}}", self.namespace);
        run(
            "helm",
            &[
                "install",
                &self.name,
                chart,
                "-n",
                &self.system,
                "--set",
                "replicas=0",
                "--set",
                "crds.enabled=false",
                "--set",
                &watch,
                "--set",
                "fullnameOverride=maildomain",
            ],
        );
        self.write_kubeconfig();
        let config = format!(
            "recheckInterval: 4s\nsettleInterval: 500ms\nproofInterval: 1s\nkeyDrain: 5s\n\
             leaderElection: {{leaseDuration: 6s, renewDeadline: 4s, retryPeriod: 500ms}}\n\
             dns: {{rootHints: [{}], resolvers: [{}], privateZones: [example, in-addr.arpa, ip6.arpa], queryTimeout: 1s}}\n{}",
            var("ROOT_HINTS"),
            var("RESOLVER"),
            options.config
        );
        std::fs::write(self.directory.join("config.yaml"), config).expect("the configuration can be written");
        self.apply_provider(options);
    }

    /// A kubeconfig with a token of the chart's ServiceAccount, which has the chart's rights and no more.
    fn write_kubeconfig(&self) {
        let token = kubectl(&[
            "-n",
            &self.system,
            "create",
            "token",
            "maildomain",
            "--duration=3h",
        ]);
        let admin = kubectl(&["config", "view", "--raw", "-o", "json"]);
        let mut config: serde_json::Value = serde_json::from_str(&admin).expect("kubectl prints JSON");
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        std::fs::write(self.directory.join("kubeconfig"), config.to_string())
            .expect("the kubeconfig can be written");
    }

    /// Writes the provider object as the options say.
    pub fn apply_provider(&self, options: &SiteOptions) {
        let selector = if options.allowed {
            format!("{{matchLabels: {{site: {}}}}}", self.name)
        } else {
            "{matchLabels: {site: nobody}}".to_owned()
        };
        let backend = if options.external_dns {
            "externalDNS: {syncTimeout: 10s}".to_owned()
        } else {
            let url = options.api.clone().unwrap_or_else(|| var("PDNS_API"));
            format!("powerDNS: {{url: \"{url}\", apiKeySecretRef: {{name: pdns, key: api-key}}}}")
        };
        let mut zones = vec![self.zone.clone()];
        zones.extend(options.more_zones.clone());
        apply(&format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: ClusterDNSProvider\nmetadata: {{name: {}}}\nspec:\n  zones: [{}]\n  \
             allow: [{{namespaceSelector: {selector}, domains: [\"{}\"], reverse: [\"203.0.113.0/24\", \"2001:db8::/32\"]}}]\n  {backend}\n",
            self.provider,
            zones.join(", "),
            self.zone
        ));
    }

    /// Starts an operator for this site.
    pub fn operator(&self) -> Operator {
        self.replica("one")
    }

    /// Starts a replica with a name of its own.
    pub fn replica(&self, identity: &str) -> Operator {
        Operator::start(&self.directory, &self.system, &self.namespace, identity)
    }

    /// A MailDomain `mail` with `spec` lines, indented by two, under the usual head: domain and publishing.
    pub fn manifest(&self, spec: &str) -> String {
        self.manifest_named("mail", &self.namespace, "Delete", spec)
    }

    /// The same with another name, namespace and deletion policy.
    pub fn manifest_named(&self, name: &str, namespace: &str, policy: &str, spec: &str) -> String {
        let head = format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{mta: main}}}}\n\
             spec:\n  domain: {}\n  publishing: {{providerRefs: [{{kind: ClusterDNSProvider, name: {}}}], ttlSeconds: 60, deletionPolicy: {policy}}}\n",
            self.zone, self.provider
        );
        head + &spec.replace("ZONE", &self.zone)
    }

    /// A declaration that becomes Ready: a mail host, MX, an MTA with one Ed25519 and one RSA key, DMARC.
    pub fn usual(&self) -> String {
        self.manifest(USUAL)
    }

    /// The MailDomain `mail`.
    pub fn domain(&self) -> MailDomain {
        let text = kubectl(&["-n", &self.namespace, "get", "maildomain", "mail", "-o", "json"]);
        serde_json::from_str(&text).expect("kubectl prints a MailDomain")
    }

    /// Its status.
    pub fn status(&self) -> MailDomainStatus {
        self.domain().status.unwrap_or_default()
    }

    /// A condition as `Status/Reason`, or `-` while there is none.
    pub fn condition(&self, kind: &str) -> String {
        let status = self.status();
        let found = status.conditions.iter().find(|c| c.type_ == kind);
        found.map_or_else(|| "-".to_owned(), |c| format!("{}/{}", c.status, c.reason))
    }

    /// Waits until a condition is `Status/Reason`, or `Status` with any reason.
    #[track_caller]
    pub fn wait_for(&self, kind: &str, expected: &str) {
        let told = || {
            let status = self.status();
            let all: Vec<String> = status
                .conditions
                .iter()
                .map(|c| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message))
                .collect();
            (
                status.observed_generation == self.domain().metadata.generation,
                all,
            )
        };
        let prefix = format!("{kind}={expected}");
        eventually(&format!("{kind} becomes {expected}"), told, |(current, all)| {
            *current
                && all.iter().any(|line| {
                    line.strip_prefix(&prefix)
                        .is_some_and(|rest| rest.starts_with(['/', ':']))
                })
        });
    }

    /// The message of a condition.
    pub fn message(&self, kind: &str) -> String {
        self.status()
            .conditions
            .into_iter()
            .find(|c| c.type_ == kind)
            .map(|c| c.message)
            .unwrap_or_default()
    }

    /// The zone at PowerDNS, without SOA and NS.
    pub fn zone_at_provider(&self) -> Vec<String> {
        dns::dump(&self.zone)
    }

    /// Changes an RRset of the zone by hand.
    pub fn by_hand(&self, name: &str, kind: &str, values: &[&str]) {
        dns::put(&self.zone, name, kind, values);
    }

    /// Names of the key Secrets of the tenant's namespace.
    pub fn key_secrets(&self) -> Vec<String> {
        let text = kubectl(&[
            "-n",
            &self.namespace,
            "get",
            "secrets",
            "-l",
            "app.kubernetes.io/managed-by=maildomain",
            "-o",
            "name",
        ]);
        text.lines()
            .filter(|l| l.contains("/mail-md-"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the operator said helps whoever reads the failure; the directory stays.
            for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|e| e == "log") {
                    let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(30).collect();
                    eprintln!(
                        "--- {} ---\n{}",
                        entry.path().display(),
                        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                    );
                }
            }
            return;
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A declaration that becomes Ready.
pub const USUAL: &str = r#"  hosts:
    - {name: mail.ZONE, purpose: Mail, addresses: [203.0.113.4]}
  receiving: {mx: [{host: mail.ZONE, preference: 10}]}
  senders:
    - name: mta
      hosts: [mail.ZONE]
      dkim: {keys: [{name: rsa, generate: {algorithm: RSA}}, {name: ed, generate: {algorithm: Ed25519}}]}
  dmarc: {policy: None, aggregateReports: ["mailto:report@ZONE"]}
"#;
