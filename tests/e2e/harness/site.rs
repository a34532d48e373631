//! A test's own corner of the world.

use std::path::{Path, PathBuf};

use maildomain::api::{MailDomain, MailDomainStatus, RecordLedger, RecordLedgerSpec};

use super::{ExternalDns, Operator, apply, dns, eventually, kubectl, run, var};

/// What differs from the usual corner.
#[expect(clippy::struct_excessive_bools, reason = "each is a difference of its own")]
pub struct SiteOptions {
    /// Address of the PowerDNS API, for a test that puts something between.
    pub api: Option<String>,
    /// API key in the provider's Secret.
    pub api_key: Option<String>,
    /// Whether to install the chart, without replicas; a test of the chart does it itself.
    pub chart: bool,
    /// Through ExternalDNS instead of PowerDNS; [`Site::external_dns`] starts one.
    pub external_dns: bool,
    /// Through DNS UPDATE instead of PowerDNS's API, with the key that [`Site::set_update_key`] writes.
    pub dns_update: bool,
    /// Whether the operator waits for a lease; without one it works from its first moment, also after a SIGKILL.
    pub leader_election: bool,
    /// What the operator logs, as RUST_LOG says it.
    pub log: &'static str,
    /// Lines of the operator's configuration that come after the usual ones.
    pub config: String,
    /// Zones besides the site's own that the provider serves, as the provider object lists them.
    pub more_zones: Vec<String>,
    /// Whether the provider allows the site's namespace.
    pub allowed: bool,
    /// Whether to create the zone at all.
    pub zone_exists: bool,
    /// Whether there is a second tenant, whom the provider allows as well.
    pub second_tenant: bool,
    /// Between two looks at a domain that is at rest. Long, where only an event may bring the next pass.
    pub recheck: &'static str,
    /// The resolver that stands for receivers, where it is not the world's.
    pub resolver: Option<&'static str>,
    /// How long a key record stays after nobody declares it any more.
    pub key_drain: &'static str,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            api: None,
            api_key: None,
            chart: true,
            external_dns: false,
            dns_update: false,
            leader_election: true,
            log: "info,maildomain=debug",
            config: String::new(),
            more_zones: Vec::new(),
            allowed: true,
            zone_exists: true,
            second_tenant: false,
            recheck: "4s",
            resolver: None,
            key_drain: "5s",
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
    /// The second tenant's namespace, where the options ask for one.
    pub second: String,
    /// The operator's namespace.
    pub system: String,
    /// The provider object.
    pub provider: String,
    /// Address of the first name server (PowerDNS), this zone's own.
    pub ns1: String,
    /// Address of the second one (Knot, secondary).
    pub ns2: String,
    directory: PathBuf,
    watched: Vec<String>,
    log: &'static str,
}

impl Site {
    /// The usual corner.
    pub fn new(name: &str) -> Self {
        Self::with(name, SiteOptions::default())
    }

    /// A corner with differences. `name` must be a DNS label that no other test uses. In a world that has seen the
    /// test before, `MAILDOMAIN_E2E_SUFFIX` tells the runs apart.
    pub fn with(name: &str, options: SiteOptions) -> Self {
        super::definitions();
        let name = &format!(
            "{name}{}",
            std::env::var("MAILDOMAIN_E2E_SUFFIX").unwrap_or_default()
        );
        let zone = format!("{name}.example");
        let directory = std::env::temp_dir().join(format!("maildomain-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
        let (namespace, second) = (format!("{name}-tenant"), format!("{name}-second"));
        let system = format!("{name}-system");
        let mut watched = vec![namespace.clone()];
        watched.extend(options.second_tenant.then(|| second.clone()));
        let mut site = Self {
            name: name.to_owned(),
            zone,
            provider: name.to_owned(),
            namespace,
            second,
            system,
            ns1: String::new(),
            ns2: String::new(),
            directory,
            watched,
            log: options.log,
        };
        if options.zone_exists {
            site.create_zone();
        }
        site.install(&options);
        site
    }

    /// Creates the zone; for a site that began without one.
    pub fn create_zone(&mut self) {
        [self.ns1, self.ns2] = dns::add_zone(&self.zone);
    }

    fn install(&self, options: &SiteOptions) {
        kubectl(&["create", "namespace", &self.system]);
        for namespace in &self.watched {
            kubectl(&["create", "namespace", namespace]);
            let label = format!("site={}", self.name);
            kubectl(&["label", "namespace", namespace, &label]);
        }
        self.set_api_key(&options.api_key.clone().unwrap_or_else(|| var("PDNS_API_KEY")));
        if options.chart {
            // Its ServiceAccount and roles, with no replica: the operator runs as a process with their token.
            self.helm(&["install", "--set", "replicas=0"]);
        }
        let config = format!(
            "recheckInterval: {}\nsettleInterval: 500ms\nproofInterval: 1s\nkeyDrain: {}\n\
             leaderElection: {{enabled: {}, leaseDuration: 6s, renewDeadline: 4s, retryPeriod: 500ms}}\n\
             dns: {{rootHints: [{}], resolvers: [{}], privateZones: [example, in-addr.arpa, ip6.arpa], queryTimeout: 1s}}\n{}",
            options.recheck,
            options.key_drain,
            options.leader_election,
            var("ROOT_HINTS"),
            options.resolver.map_or_else(|| var("RESOLVER"), str::to_owned),
            options.config
        );
        std::fs::write(self.directory.join("config.yaml"), config).expect("the configuration can be written");
        self.apply_provider(options);
    }

    /// Runs `helm ARGUMENTS` for this site's release: the chart for the tenants' namespaces, without definitions, which
    /// all sites share.
    pub fn helm(&self, arguments: &[&str]) {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/maildomain");
        let watch = format!("watchNamespaces={{{}}}", self.watched.join(","));
        let (action, options) = arguments.split_first().expect("helm needs a command");
        let mut command = vec![*action, &self.name, chart, "-n", &self.system];
        command.extend([
            "--set",
            "crds.enabled=false",
            "--set",
            "fullnameOverride=maildomain",
        ]);
        command.extend(["--set", &watch]);
        command.extend(options);
        run("helm", &command);
    }

    /// A kubeconfig with a token of the chart's ServiceAccount, which has the chart's rights and no more. Each replica
    /// has a token of its own, by which the audit log tells them apart.
    fn write_kubeconfig(&self, path: &Path) {
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
        std::fs::write(path, config.to_string()).expect("the kubeconfig can be written");
    }

    /// The kubeconfig of each replica that was ever started.
    pub(super) fn kubeconfigs(&self) -> Vec<(String, String)> {
        let files = std::fs::read_dir(&self.directory).expect("the directory is there");
        let files = files.flatten().map(|entry| entry.path());
        files
            .filter(|path| path.extension().is_some_and(|e| e == "kubeconfig"))
            .map(|path| {
                let identity = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                (identity, std::fs::read_to_string(path).unwrap_or_default())
            })
            .collect()
    }

    /// What makes the token of each replica one.
    pub fn tokens(&self) -> Vec<String> {
        let tokens = self.kubeconfigs().into_iter().map(|(_, config)| {
            let config: serde_json::Value =
                serde_json::from_str(&config).expect("a kubeconfig of ours is JSON");
            let token = config["users"][0]["user"]["token"].as_str().unwrap_or_default();
            token.rsplit('.').next().unwrap_or_default().to_owned()
        });
        tokens.collect()
    }

    /// What each replica logged, by file.
    fn logs(&self) -> Vec<(PathBuf, String)> {
        let files = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let files = files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"));
        files
            .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap_or_default()))
            .collect()
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
        } else if options.dns_update {
            format!(
                "rfc2136: {{server: \"{}:53\", tsig: {{keyName: {}, algorithm: HMACSHA256, secretRef: {{name: tsig, key: secret}}}}}}",
                var("DNS_SERVER"),
                self.name
            )
        } else {
            let url = options.api.clone().unwrap_or_else(|| var("PDNS_API"));
            format!("powerDNS: {{url: \"{url}\", apiKeySecretRef: {{name: pdns, key: api-key}}}}")
        };
        let mut zones = vec![self.zone.clone()];
        zones.extend(options.more_zones.clone());
        apply(&format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: ClusterDNSProvider\nmetadata: {{name: {}}}\nspec:\n  zones: [{}]\n  \
             allow: [{{namespaceSelector: {selector}, domains: [\"{}\"], reverse: [\"203.0.113.0/24\", \"198.51.100.0/24\", \"2001:db8::/32\"]}}]\n  {backend}\n",
            self.provider,
            zones.join(", "),
            self.zone
        ));
    }

    /// Writes another provider object, for a PowerDNS at this URL that takes the same key.
    pub fn apply_second_provider(&self, name: &str, url: &str) {
        apply(&format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: ClusterDNSProvider\nmetadata: {{name: {name}}}\nspec:\n  zones: [{}]\n  \
             allow: [{{namespaceSelector: {{matchLabels: {{site: {}}}}}, domains: [\"{}\"]}}]\n  \
             powerDNS: {{url: \"{url}\", apiKeySecretRef: {{name: pdns, key: api-key}}}}\n",
            self.zone, self.name, self.zone
        ));
    }

    /// Lets the MailDomain `mail` refer to this provider and to no other.
    pub fn move_to(&self, provider: &str) {
        let refs = serde_json::json!([{"kind": "ClusterDNSProvider", "name": provider}]);
        let patch = serde_json::json!({"spec": {"publishing": {"providerRefs": refs}}}).to_string();
        let object = ["patch", "maildomain", "mail", "--type=merge", "--patch", &patch];
        kubectl(&[&["-n", &self.namespace], &object[..]].concat());
    }

    /// Writes the Secret with the provider's API key.
    pub fn set_api_key(&self, key: &str) {
        apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: pdns, namespace: {}}}\nstringData: {{api-key: \"{key}\"}}\n",
            self.system
        ));
    }

    /// Writes the Secret with the TSIG key, base64.
    pub fn set_update_key(&self, secret: &str) {
        apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: tsig, namespace: {}}}\nstringData: {{secret: \"{secret}\"}}\n",
            self.system
        ));
    }

    /// Deletes the provider object.
    pub fn delete_provider(&self) {
        kubectl(&["delete", "clusterdnsprovider", &self.provider, "--timeout=30s"]);
    }

    /// Waits until the provider object says `Ready` with this status, reason and word.
    #[track_caller]
    pub fn wait_for_provider(&self, expected: &str, word: &str) {
        let path = "jsonpath={range .status.conditions[*]}{.type}={.status}/{.reason}: {.message}{end}";
        let ask = || kubectl(&["get", "clusterdnsprovider", &self.provider, "-o", path]);
        let prefix = format!("Ready={expected}: ");
        eventually(&format!("the provider object says {expected}"), ask, |said| {
            said.starts_with(&prefix) && said.contains(word)
        });
    }

    /// Starts an operator for this site.
    pub fn operator(&self) -> Operator {
        self.replica("one")
    }

    /// Starts a replica with a name of its own.
    pub fn replica(&self, identity: &str) -> Operator {
        let kubeconfig = self.directory.join(format!("{identity}.kubeconfig"));
        if !kubeconfig.exists() {
            self.write_kubeconfig(&kubeconfig);
        }
        Operator::start(
            &self.directory,
            &self.system,
            &self.watched.join(","),
            identity,
            self.log,
        )
    }

    /// Starts an ExternalDNS that watches the operator's namespace, with `arguments` of `world externaldns start`.
    pub fn external_dns(&self, arguments: &[&str]) -> ExternalDns {
        ExternalDns::start(&self.name, &self.system, arguments)
    }

    /// A MailDomain `mail` with `spec` lines, indented by two, under the usual head: domain and publishing.
    pub fn manifest(&self, spec: &str) -> String {
        self.manifest_named("mail", &self.namespace, "Delete", spec)
    }

    /// The same with another name, namespace and deletion policy.
    pub fn manifest_named(&self, name: &str, namespace: &str, policy: &str, spec: &str) -> String {
        let head = format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{mta: main}}}}\n\
             spec:\n  domain: {}\n  publishing: {{providerRefs: [{{kind: ClusterDNSProvider, name: {}}}], ttlSeconds: 60, retireAfter: 0s, deletionPolicy: {policy}}}\n",
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
        Self::domain_at(&self.namespace, "mail")
    }

    /// Another MailDomain.
    pub fn domain_at(namespace: &str, name: &str) -> MailDomain {
        let text = kubectl(&["-n", namespace, "get", "maildomain", name, "-o", "json"]);
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
        Self::wait_for_at(&self.namespace, "mail", kind, expected);
    }

    /// The same of another MailDomain.
    #[track_caller]
    pub fn wait_for_at(namespace: &str, name: &str, kind: &str, expected: &str) {
        let told = || {
            let domain = Self::domain_at(namespace, name);
            let status = domain.status.unwrap_or_default();
            let all: Vec<String> = status
                .conditions
                .iter()
                .map(|c| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message))
                .collect();
            (status.observed_generation == domain.metadata.generation, all)
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

    /// The rows of `status.records` with a Conflict, as `name TYPE` and message.
    pub fn conflicts(&self) -> Vec<(String, String)> {
        let rows = self.status().records.into_iter();
        rows.filter(|row| row.reason.as_deref() == Some("Conflict"))
            .map(|row| {
                (
                    format!("{} {}", row.name, row.record_type),
                    row.message.unwrap_or_default(),
                )
            })
            .collect()
    }

    /// A file of this site: `config.yaml` is the operator's configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Files with the MailDomain `mail` and the RecordLedgers as the cluster has them, for commands without a cluster.
    pub fn declared_and_remembered(&self) -> [PathBuf; 2] {
        let list = |arguments: &[&str]| kubectl(&[arguments, &["-o", "yaml"]].concat());
        let file = |name: &str, text: &str| {
            let path = self.file(name);
            std::fs::write(&path, text).expect("a temporary file can be written");
            path
        };
        let domain = list(&["-n", &self.namespace, "get", "maildomain", "mail"]);
        let ledgers = list(&["-n", &self.system, "get", "recordledgers"]);
        [file("domain.yaml", &domain), file("ledgers.yaml", &ledgers)]
    }

    /// Asks for the deletion of the MailDomain `mail`.
    pub fn delete_soon(&self) {
        kubectl(&[
            "-n",
            &self.namespace,
            "delete",
            "maildomain",
            "mail",
            "--wait=false",
        ]);
    }

    /// Waits until the MailDomain `mail` is gone.
    #[track_caller]
    pub fn wait_until_gone(&self) {
        let ask = || {
            let arguments = ["get", "maildomain", "mail", "--ignore-not-found", "-o", "name"];
            kubectl(&[&["-n", &self.namespace], &arguments[..]].concat())
        };
        eventually("the MailDomain is gone", ask, String::is_empty);
    }

    /// Deletes the MailDomain `mail`; it must be gone within half a minute.
    pub fn delete(&self) {
        kubectl(&[
            "-n",
            &self.namespace,
            "delete",
            "maildomain",
            "mail",
            "--timeout=30s",
        ]);
    }

    /// What the operator remembers of the domain, without the owner text.
    pub fn ledger(&self) -> RecordLedgerSpec {
        let mut ledger = self.whole_ledger();
        ledger.entries.retain(|entry| entry.purpose != "Owner");
        ledger
    }

    /// All that the operator remembers of the domain.
    pub fn whole_ledger(&self) -> RecordLedgerSpec {
        let text = kubectl(&[
            "-n",
            &self.system,
            "get",
            "recordledger",
            &self.zone,
            "-o",
            "json",
        ]);
        let ledger: RecordLedger = serde_json::from_str(&text).expect("kubectl prints a RecordLedger");
        ledger.spec
    }

    /// The zone at PowerDNS, without SOA, NS and the owner text.
    pub fn zone_at_provider(&self) -> Vec<String> {
        dns::dump(&self.zone)
    }

    /// The owner text at PowerDNS; empty where there is none.
    pub fn owner_text(&self) -> String {
        dns::Records::of_the_world().owner_text(&self.zone)
    }

    /// Says to a MailDomain that whoever wrote the owner text of this epoch, or this text, is gone.
    pub fn give_over(&self, object: &str, word: &str) {
        let said = format!("maildomain.dev/take-over={word}");
        kubectl(&[
            "-n",
            &self.namespace,
            "annotate",
            "maildomain",
            object,
            "--overwrite",
            &said,
        ]);
    }

    /// Changes an RRset of the zone by hand.
    pub fn by_hand(&self, name: &str, kind: &str, values: &[&str]) {
        dns::put(&self.zone, name, kind, values);
    }

    /// The events of the tenant's namespace, as lines of reason and message.
    pub fn events(&self) -> String {
        let columns = "custom-columns=R:.reason,M:.message";
        kubectl(&["-n", &self.namespace, "get", "events", "-o", columns])
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
            for (path, log) in self.logs() {
                let tail: Vec<&str> = log.lines().rev().take(30).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                eprintln!("--- {} ---\n{tail}", path.display());
            }
            return;
        }
        // No test is about this; so every one is. See also tests/e2e/secrets.rs.
        let secrets = [self.tokens(), vec!["PRIVATE KEY-----".to_owned()]].concat();
        for (path, log) in self.logs() {
            let shown = secrets.iter().any(|secret| log.contains(secret));
            assert!(!shown, "{} shows a private key or a token", path.display());
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
