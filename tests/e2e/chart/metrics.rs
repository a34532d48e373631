//! The metrics of a release.

use crate::harness::{Site, eventually, kubectl, run};

/// The metrics that the documentation and the alerts name, through the release's Service.
pub(super) fn metrics_tell_the_story(site: &Site) {
    let address = kubectl(&[
        "-n",
        &site.system,
        "get",
        "service",
        "maildomain-metrics",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    let url = format!("http://{address}:8080/metrics");
    // Either pod may answer; only the leader has something to tell.
    let text = eventually(
        "the leader answers behind the Service",
        || run("curl", &["-sS", "--fail", &url]),
        |text| value(text, "maildomain_leader") == Some(1.0),
    );
    let labels = format!("namespace=\"{}\",name=\"mail\"", site.namespace);
    for (series, least) in [
        (
            format!("maildomain_condition{{{labels},type=\"Ready\",status=\"True\"}}"),
            1.0,
        ),
        (format!("maildomain_records{{{labels},state=\"wanted\"}}"), 7.0),
        (format!("maildomain_records{{{labels},state=\"published\"}}"), 7.0),
        (format!("maildomain_records{{{labels},state=\"verified\"}}"), 7.0),
        (format!("maildomain_policy_held{{{labels}}}"), 0.0),
        (
            "maildomain_reconciles_total{kind=\"MailDomain\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconciles_total{kind=\"DKIMSigner\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconciles_total{kind=\"ClusterDNSProvider\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconcile_seconds_count{kind=\"MailDomain\"}".to_owned(),
            1.0,
        ),
    ] {
        assert!(
            value(&text, &series).is_some_and(|is| is >= least),
            "{series} is not {least} or more:\n{text}"
        );
    }
    assert_eq!(
        value(
            &text,
            &format!("maildomain_condition{{{labels},type=\"Ready\",status=\"False\"}}")
        ),
        Some(0.0)
    );
    for key in site.status().keys {
        let series = format!(
            "maildomain_key_proven_timestamp_seconds{{{labels},selector=\"{}\"}}",
            key.selector
        );
        let proven = value(&text, &series).unwrap_or_else(|| panic!("no {series}:\n{text}"));
        let since = key.since.expect("it is proven").0.as_duration().as_secs_f64();
        assert!((proven - since).abs() < 1.0, "{proven} {since}");
    }
}

/// The value of one line of the metrics.
pub(super) fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}
