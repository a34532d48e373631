//! From a provider object to its [`Publisher`]: the one match over the kinds of providers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use super::external_dns::ExternalDns;
use super::gate::traffic::Rate;
use super::gate::{Gate, Gates};
use super::power_dns::PowerDns;
use super::rfc2136::Rfc2136;
use super::{PublishError, Publisher};
use crate::api::{self, ClusterDNSProvider, ExternalDNS, PowerDNS, SecretKeyRef, Tsig};
use crate::lookup::looker::Looker;
use crate::name::Name;

/// How long one call to the cluster's API may take; the client itself waits for ever.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_SERVER_ID: &str = "localhost";
const DEFAULT_SYNC_TIMEOUT: Duration = Duration::from_mins(5);
/// A pass over one domain makes some ten to thirty calls.
const DEFAULT_RATE: u32 = 100;

/// What publishers are made with, whichever they are.
pub struct Reach<'a> {
    /// The cluster's API.
    pub client: &'a kube::Client,
    /// The operator's own namespace, with the credentials.
    pub namespace: &'a str,
    /// Asks DNS.
    pub looker: &'a Arc<Looker>,
    /// What is known of the traffic with each provider.
    pub gates: &'a Gates,
}

/// The publisher that a provider object describes, with its credentials from the operator's own namespace.
pub async fn connect(
    provider: &ClusterDNSProvider,
    reach: &Reach<'_>,
) -> Result<Arc<dyn Publisher>, PublishError> {
    let Reach {
        client,
        namespace,
        looker,
        gates,
    } = *reach;
    let spec = &provider.spec;
    let gate = |secret: &str| gate(gates, provider, secret);
    match (&spec.power_dns, &spec.external_dns, &spec.rfc2136) {
        (Some(settings), None, None) => {
            let key = secret(client, namespace, &settings.api_key_secret_ref).await?;
            Ok(Arc::new(power_dns(settings, &key)?.through(gate(&key))))
        }
        (None, None, Some(settings)) => {
            let key = secret(client, namespace, &settings.tsig.secret_ref).await?;
            Ok(Arc::new(rfc2136(settings, &key)?.through(gate(&key))))
        }
        (None, Some(settings), None) => {
            let zones = provider.spec.zones.iter();
            let zones = zones.filter_map(|zone| Name::parse(zone).ok()).collect();
            let publisher = external_dns(settings, client, namespace, &provider.name_any(), looker)?;
            Ok(Arc::new(publisher.with_zones(zones)))
        }
        (None, None, None) | (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => Err(
            PublishError::Misconfigured("spec needs exactly one of powerDNS, externalDNS, rfc2136"),
        ),
    }
}

/// The provider's gate; another object, another spec or another credential makes it another one.
fn gate(gates: &Gates, provider: &ClusterDNSProvider, secret: &str) -> Gate {
    let per_second = provider
        .spec
        .calls_per_second
        .and_then(|rate| u32::try_from(rate).ok())
        .unwrap_or(DEFAULT_RATE);
    let rate = Rate {
        per_second,
        burst: per_second.saturating_mul(2),
    };
    let spec = serde_json::to_string(&provider.spec).unwrap_or_default();
    let uid = provider.uid().unwrap_or_default();
    gates.of(&provider.name_any(), rate, &[&uid, &spec, secret])
}

fn power_dns(settings: &PowerDNS, api_key: &str) -> Result<PowerDns, PublishError> {
    let PowerDNS {
        url,
        server_id,
        api_key_secret_ref: _,
    } = settings;
    let server_id = server_id.as_deref().unwrap_or(DEFAULT_SERVER_ID);
    PowerDns::new(url, server_id, api_key)
}

fn rfc2136(settings: &api::Rfc2136, secret: &str) -> Result<Rfc2136, PublishError> {
    let api::Rfc2136 { server, tsig } = settings;
    let Tsig {
        key_name,
        algorithm,
        secret_ref: _,
    } = tsig;
    Rfc2136::new(server, key_name, algorithm.unwrap_or_default(), secret)
}

fn external_dns(
    settings: &ExternalDNS,
    client: &kube::Client,
    namespace: &str,
    provider_name: &str,
    looker: &Arc<Looker>,
) -> Result<ExternalDns, PublishError> {
    let ExternalDNS {
        txt_format,
        sync_timeout,
    } = settings;
    Ok(ExternalDns::new(
        client.clone(),
        namespace,
        provider_name,
        Arc::clone(looker),
        txt_format.unwrap_or_default(),
        parse_timeout(sync_timeout.as_deref())?,
    ))
}

fn parse_timeout(text: Option<&str>) -> Result<Duration, PublishError> {
    let Some(text) = text else {
        return Ok(DEFAULT_SYNC_TIMEOUT);
    };
    let parsed: Option<kube::core::Duration> = text.parse().ok();
    parsed
        .filter(|duration| !duration.is_negative())
        .map(Duration::from)
        .ok_or(PublishError::Misconfigured(
            "spec.externalDNS.syncTimeout is not a duration; write it like 5m",
        ))
}

/// One value of a Secret. It is read with GET each time: the operator may not list Secrets, and a changed
/// credential counts at once.
async fn secret(
    client: &kube::Client,
    namespace: &str,
    reference: &SecretKeyRef,
) -> Result<String, PublishError> {
    let SecretKeyRef { name, key } = reference;
    let missing = || PublishError::SecretMissing(name.clone(), key.clone());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = ask_cluster(secrets.get_opt(name)).await?.ok_or_else(missing)?;
    let value = secret.data.unwrap_or_default().remove(key).ok_or_else(missing)?;
    String::from_utf8(value.0).map_err(|_| PublishError::Credentials)
}

/// A call to the cluster's API, in time, with errors in our words.
pub(super) async fn ask_cluster<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, PublishError> {
    match tokio::time::timeout(CLUSTER_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(PublishError::Cluster(status.code)),
        Ok(Err(_)) | Err(_) => Err(PublishError::Cluster(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_written_as_kubernetes_writes_them() {
        for (text, seconds) in [(None, 300), (Some("90s"), 90), (Some("1h2m"), 3720)] {
            assert_eq!(parse_timeout(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
        assert!(matches!(
            parse_timeout(Some("soon")),
            Err(PublishError::Misconfigured(_))
        ));
        assert!(matches!(
            parse_timeout(Some("-5m")),
            Err(PublishError::Misconfigured(_))
        ));
    }
}
