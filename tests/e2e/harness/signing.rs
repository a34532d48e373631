//! The keys of a tenant as Secrets hold them, and as the world sees them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maildomain::key::PrivateKey;
use serde_json::Value;

use super::{Site, apply, kubectl, text_at};

/// The output Secret that [`Site::apply_signer`] asks for.
pub const OUTPUT: &str = "mta-dkim";

impl Site {
    /// A DKIMSigner `mta` that selects the MailDomain `mail`; its output Secret is [`OUTPUT`].
    pub fn apply_signer(&self) {
        apply(&format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: DKIMSigner\nmetadata: {{name: mta, namespace: {}}}\n\
             spec: {{mailDomainSelector: {{matchLabels: {{mta: main}}}}, secretName: {OUTPUT}, formats: [Plain, OpenDKIM]}}\n",
            self.namespace
        ));
    }

    /// The files of a Secret of the tenant; `None` while there is none.
    pub fn secret(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let text = kubectl(&[
            "-n",
            &self.namespace,
            "get",
            "secret",
            name,
            "-o",
            "json",
            "--ignore-not-found",
        ]);
        (!text.is_empty()).then(|| files(&serde_json::from_str(&text).expect("kubectl prints JSON")))
    }

    /// The record text that belongs to each key Secret, by selector.
    pub fn public_halves(&self) -> BTreeMap<String, String> {
        let label = "app.kubernetes.io/managed-by=maildomain";
        let text = kubectl(&["-n", &self.namespace, "get", "secrets", "-l", label, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        let secrets = list["items"].as_array().into_iter().flatten();
        let keys = secrets.filter_map(|secret| {
            let selector = secret["metadata"]["annotations"]["maildomain.dev/selector"].as_str()?;
            Some((
                selector.to_owned(),
                record_text(files(secret).get("private.pem")?),
            ))
        });
        keys.collect()
    }

    /// The selectors that the MTA may sign with at this moment. Each of them must answer, at both servers, with the
    /// public half of the key that the MTA would use.
    #[track_caller]
    pub fn signing_selectors(&self) -> Vec<String> {
        loop {
            let Some(files) = self.secret(OUTPUT) else {
                return Vec::new();
            };
            match self.selectors_of(&files) {
                Ok(selectors) => return selectors,
                // Asking took time. What was right when it began and is gone when it ends was right all the while.
                Err(_) if self.secret(OUTPUT).as_ref() != Some(&files) => {}
                Err(wrong) => panic!("the MTA may sign with what the world does not see: {wrong}"),
            }
        }
    }

    /// The selectors in an output, or the first one that DNS does not answer with.
    fn selectors_of(&self, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
        let list: Value = serde_json::from_str(&files["keys.json"]).expect("keys.json is JSON");
        let mut selectors = Vec::new();
        for key in list.as_array().into_iter().flatten() {
            let text = |field: &str| key[field].as_str().unwrap_or_default();
            let name = format!("{}._domainkey.{}", text("selector"), text("domain"));
            let public = record_text(&files[text("file")]);
            for server in [&self.ns1, &self.ns2] {
                let answer = text_at(server, &name);
                if answer != public {
                    return Err(format!(
                        "{name}, asked at {server}: {answer:?} instead of {public:?}"
                    ));
                }
            }
            selectors.push(text("selector").to_owned());
        }
        Ok(selectors)
    }
}

fn files(secret: &Value) -> BTreeMap<String, String> {
    let data = secret["data"].as_object().into_iter().flatten();
    data.map(|(name, value)| {
        let octets = STANDARD.decode(value.as_str().unwrap_or_default());
        let octets = octets.expect("data of a Secret is base64");
        (name.clone(), String::from_utf8(octets).expect("a text"))
    })
    .collect()
}

fn record_text(pem: &str) -> String {
    PrivateKey::from_pem(pem)
        .expect("a private key")
        .public()
        .record_text()
}
