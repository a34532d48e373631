//! Where a provider may be: which addresses are spoken to, and how connections are made. Every socket to a provider is
//! opened here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::dns::{Addrs, Name as HostName, Resolve, Resolving};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::publish::PublishError;

/// How long connecting to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one HTTP request may take, from the first octet to the last.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Link-local addresses, and the one unique-local address with the same use. Clouds serve the credentials of the
/// machine there (169.254.169.254, fd00:ec2::254): whoever may write a provider's URL must not borrow the
/// operator's place in the network to talk to them. No DNS service lives there.
pub(in crate::publish) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// The system's resolver, less link-local addresses, so that a name cannot stand for one.
async fn resolve(host_and_port: &str) -> std::io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host(host_and_port).await?;
    Ok(found.filter(|address| !is_link_local(address.ip())).collect())
}

/// A connection to `host:port`.
pub(in crate::publish) async fn connect(host_and_port: &str) -> Result<TcpStream, PublishError> {
    let Ok(Ok(found)) = timeout(CONNECT_TIMEOUT, resolve(host_and_port)).await else {
        return Err(PublishError::Unreachable);
    };
    for address in found {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(PublishError::Unreachable)
}

struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: HostName) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|address| !is_link_local(address.ip())).collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One HTTP client for the process: connections are kept and shared between providers.
pub(in crate::publish) fn http_client() -> Result<reqwest::Client, PublishError> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        // A redirect would carry the credential to a host that nobody named.
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Guarded)
        .user_agent(concat!("maildomain/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| {
            PublishError::Misconfigured("TLS cannot be set up; does the image hold CA certificates?")
        })?;
    Ok(CLIENT.get_or_init(|| client).clone())
}
