//! HTTP to DNS services, through the [`Gate`]: bounded, without redirects, and mute.
//!
//! Nothing that a service says leaves this module as text: a reply is the body of a success, or a status. The
//! credential travels in a header that is marked sensitive and appears in no `Debug` and no error.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::PublishError;
use super::gate::Gate;
use super::gate::address::{http_client, is_link_local};

/// A zone of some 200 000 records as PowerDNS lists it. More is not read: an answer without end must not fill memory.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// What is waited for after 429 without a usable `Retry-After`, and the most that is believed of any.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
const MAX_WAIT: Duration = Duration::from_mins(5);

/// A service with its credential.
pub struct Api {
    client: reqwest::Client,
    base: Url,
    header: HeaderName,
    credential: HeaderValue,
    gate: Gate,
}

/// What came back, besides the failures that mean the same for every service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 2xx, with the body.
    Success(Vec<u8>),
    /// Any other answer that is left to the caller: 3xx, and 4xx other than 401, 403 and 429.
    Status(u16),
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base holds no user and no password: `new` refuses them.
        write!(f, "Api {{ base: {}, credential: [redacted] }}", self.base)
    }
}

impl Api {
    /// The service at `base`, which takes its credential in this header.
    pub fn new(base: &str, header: HeaderName, credential: &str) -> Result<Self, PublishError> {
        let base = allowed_url(base)?;
        let mut credential =
            HeaderValue::from_str(credential.trim()).map_err(|_| PublishError::Credentials)?;
        credential.set_sensitive(true);
        Ok(Self {
            client: http_client()?,
            base,
            header,
            credential,
            gate: Gate::default(),
        })
    }

    /// With this gate; without one, nothing counts the calls.
    pub(super) fn through(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// Sends one request; `path` is absolute and already percent-encoded, see [`segment`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Reply, PublishError> {
        let url = self
            .base
            .join(path)
            .map_err(|_| PublishError::Misconfigured("the URL of the provider cannot be used"))?;
        let mut request = self
            .client
            .request(method, url)
            .header(self.header.clone(), self.credential.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let call = async {
            let response = request.send().await.map_err(|_| PublishError::Unreachable)?;
            let status = response.status();
            if status.is_success() {
                return read_bounded(response).await.map(Reply::Success);
            }
            classify(status, response.headers()).map(Reply::Status)
        };
        self.gate.call(call).await
    }
}

/// Reads JSON; what it was is not told.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, PublishError> {
    serde_json::from_slice(body).map_err(|_| PublishError::Unreadable)
}

/// One segment of a path, or one value of a query: everything but unreserved characters (RFC 3986 section 2.3) is
/// percent-encoded.
pub fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What a status that is not a success means, where every service means the same.
fn classify(status: StatusCode, headers: &HeaderMap) -> Result<u16, PublishError> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(PublishError::Credentials),
        StatusCode::TOO_MANY_REQUESTS => Err(PublishError::Throttled(wait(headers))),
        // A server that says when to come back is not down.
        StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(RETRY_AFTER) => {
            Err(PublishError::Throttled(wait(headers)))
        }
        status if status.is_server_error() => Err(PublishError::Unreachable),
        status => Ok(status.as_u16()),
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3), bounded. The form with a date is not read: no clock here.
fn wait(headers: &HeaderMap) -> Duration {
    headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map_or(DEFAULT_WAIT, |seconds| {
            Duration::from_secs(seconds).clamp(Duration::from_secs(1), MAX_WAIT)
        })
}

async fn read_bounded(mut response: reqwest::Response) -> Result<Vec<u8>, PublishError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| PublishError::Unreachable)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(PublishError::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Parses the base URL of a service and refuses those that no DNS service has.
fn allowed_url(text: &str) -> Result<Url, PublishError> {
    let url = Url::parse(text)
        .map_err(|_| PublishError::Misconfigured("the URL of the provider cannot be read"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(PublishError::Misconfigured(
            "the URL of the provider must be http or https",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PublishError::Misconfigured(
            "the URL of the provider must not hold credentials; use the Secret",
        ));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if literal.parse().is_ok_and(is_link_local) {
        return Err(PublishError::Misconfigured(
            "the URL of the provider is a link-local address",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(retry_after))])
    }

    #[test]
    fn statuses_mean_the_same_for_every_service() {
        let none = HeaderMap::new();
        for (status, meaning) in [
            (301, Ok(301)),
            (401, Err(PublishError::Credentials)),
            (403, Err(PublishError::Credentials)),
            (404, Ok(404)),
            (422, Ok(422)),
            (429, Err(PublishError::Throttled(DEFAULT_WAIT))),
            (500, Err(PublishError::Unreachable)),
            (503, Err(PublishError::Unreachable)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(classify(status, &none), meaning, "{status}");
        }
        assert_eq!(
            classify(StatusCode::SERVICE_UNAVAILABLE, &headers("7")),
            Err(PublishError::Throttled(Duration::from_secs(7)))
        );
    }

    #[test]
    fn retry_after_is_bounded() {
        for (text, seconds) in [
            ("7", 7),
            ("0", 1),
            ("999999999", 300),
            ("Wed, 21 Oct 2026 07:28:00 GMT", 30),
        ] {
            assert_eq!(wait(&headers(text)), Duration::from_secs(seconds), "{text}");
        }
    }

    #[test]
    fn addresses_of_metadata_services_are_refused() {
        for url in [
            "http://169.254.169.254/",
            "http://0xa9fea9fe/",
            "http://2852039166",
            "http://[fe80::1]:8081",
            "http://[::ffff:169.254.169.254]",
            "http://[fd00:ec2::254]",
            "http://user:secret@pdns.corp:8081",
            "ftp://pdns.corp",
            "pdns.corp",
        ] {
            assert!(
                matches!(allowed_url(url), Err(PublishError::Misconfigured(_))),
                "{url}"
            );
        }
        for url in [
            "http://10.0.0.1:8081",
            "https://pdns.corp:8081/",
            "http://[::1]:81",
        ] {
            assert!(allowed_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_credential_is_never_shown() {
        let api = Api::new(
            "http://127.0.0.1:1",
            HeaderName::from_static("x-api-key"),
            " s3cret\n",
        )
        .unwrap();
        let shown = format!("{api:?} {:?}", api.credential);
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(segment("example.com."), "example.com.");
        assert_eq!(segment("a/b?c d%"), "a%2Fb%3Fc%20d%25");
    }
}
