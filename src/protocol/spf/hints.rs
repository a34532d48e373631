//! What a person meant who wrote a term that SPF does not accept.
//!
//! In: the term as written. Out: our own words, or nothing when the grammar's own reason says enough.

use std::net::IpAddr;

/// A hint for the usual mistakes, most telling first.
pub(super) fn for_term(term: &str) -> Option<String> {
    let lower = term.to_ascii_lowercase();
    let name = lower.trim_start_matches(['+', '-', '~', '?']);
    let (head, value) = name.split_once([':', '=']).unwrap_or((name, ""));
    shape(term)
        .or_else(|| spelling(name, head, value))
        .or_else(|| address(head, value))
}

/// Signs that no term holds.
fn shape(term: &str) -> Option<String> {
    let said = if matches!(term, "+" | "-" | "~" | "?") {
        "no blank may stand between the sign and its mechanism; write for example `-all`"
    } else if !term.is_ascii() {
        "it holds a character outside ASCII, such as a typographic dash or quote; type it again by hand"
    } else if term.bytes().any(|b| b.is_ascii_control()) {
        "it holds a tab, line end or other control character; separate terms by blanks"
    } else if term.contains(['"', '\'']) {
        "it holds a quote; quotes belong to zone files, not into the record"
    } else if term.contains(',') {
        "terms are separated by blanks, not by commas"
    } else if term.ends_with(';') {
        "terms are separated by blanks; drop the semicolon"
    } else if term.contains("://") {
        "it is a web address; write the bare domain name"
    } else {
        return None;
    };
    Some(said.to_owned())
}

/// Names that look like those of SPF.
fn spelling(name: &str, head: &str, value: &str) -> Option<String> {
    let family = || if value.contains(':') { "ip6" } else { "ip4" };
    match head {
        "ip" | "ipv4" | "ip4v" | "ip-4" | "ipv6" | "ip6v" | "ip-6" | "address" => {
            Some(format!("write `{}:{value}`", family()))
        }
        "v" => Some("a record has one version; drop it here and keep one record".to_owned()),
        "redirect" | "exp" if name.contains(':') => {
            Some(format!("`{head}` is a modifier; write `{head}={value}`"))
        }
        "includes" | "inlcude" | "incude" | "inc" | "domain" => Some(format!("write `include:{value}`")),
        "host" => Some(format!("write `a:{value}`")),
        "all" => Some("`all` takes nothing behind it".to_owned()),
        _ if name.contains([':', '=']) => None,
        _ => bare(name),
    }
}

/// An address or a name that stands alone.
fn bare(name: &str) -> Option<String> {
    let address = name.split('/').next().unwrap_or_default();
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => Some(format!("write `ip4:{name}`")),
        Ok(IpAddr::V6(_)) => Some(format!("write `ip6:{name}`")),
        Err(_) if name.contains('.') && !name.starts_with("all") => Some(format!(
            "write `a:{name}` for a host, or `include:{name}` for a domain with an SPF record"
        )),
        Err(_) => None,
    }
}

/// Addresses in the wrong place.
fn address(head: &str, value: &str) -> Option<String> {
    let address: Option<IpAddr> = value.split('/').next().and_then(|text| text.parse().ok());
    match (head, address) {
        ("a" | "mx" | "include" | "ip6", Some(IpAddr::V4(_))) => Some(format!("write `ip4:{value}`")),
        ("a" | "mx" | "include" | "ip4", Some(IpAddr::V6(_))) => Some(format!("write `ip6:{value}`")),
        ("ip4", None) if value.contains(|c: char| c.is_ascii_alphabetic()) => {
            Some("this is no address; a blank is missing, or use `a:` for a host name".to_owned())
        }
        _ => None,
    }
}
