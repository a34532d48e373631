//! The chart and the image as people install them: real helm, real pods.
//!
//! `MAILDOMAIN_IMAGE` names the archive that `tests/image` makes; `make e2e` sets it.

mod image;
mod life;
mod metrics;
mod pods;
mod requests;
mod roles;

use crate::harness::{Site, SiteOptions, var};
use image::{image_name, load_image};

/// A corner without a release.
fn site(name: &str) -> Site {
    let options = SiteOptions {
        chart: false,
        ..SiteOptions::default()
    };
    Site::with(name, options)
}

/// Installs the chart with the image, for this world, and waits for the pods.
fn install(site: &Site, more: &[&str]) {
    load_image();
    release(site, "install", more);
}

fn upgrade(site: &Site, more: &[&str]) {
    release(site, "upgrade", more);
}

fn release(site: &Site, action: &str, more: &[&str]) {
    let image = image_name();
    let (repository, tag) = image.rsplit_once(':').expect("an image has a tag");
    let values = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        "image.pullPolicy=Never".to_owned(),
        "recheckInterval=4s".to_owned(),
        format!("dns.rootHints={{{}}}", var("ROOT_HINTS")),
        format!("dns.resolvers={{{}}}", var("RESOLVER")),
        "dns.privateZones={example,in-addr.arpa,ip6.arpa}".to_owned(),
        "log.filter=info\\,maildomain=debug".to_owned(),
    ];
    let mut arguments = vec![action, "--wait", "--timeout", "2m"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value.as_str()]));
    arguments.extend(more);
    site.helm(&arguments);
}
