//! The pinned helm, where this machine has it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::{root, text};

/// Renders the chart with its default values and these settings. `None`: this machine has no helm, and nobody insists.
pub(crate) fn template(settings: &[&str]) -> Option<String> {
    let Some(helm) = find() else {
        assert!(
            std::env::var_os("MAILDOMAIN_REQUIRE_HELM").is_none(),
            "no helm: tests/world/build helm makes it"
        );
        eprintln!("not compared: there is no helm on this machine (tests/world/build helm makes it)");
        return None;
    };
    // Of the machine's helm nothing may shine through: no repositories, no plugins.
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let mut command = Command::new(helm);
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &home);
    }
    command
        .args([
            "template",
            "maildomain",
            "charts/maildomain",
            "--namespace",
            "maildomain-system",
        ])
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .current_dir(root());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm template: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The version that the world pins, from its cache; else the one in PATH.
fn find() -> Option<PathBuf> {
    let cache = std::env::var_os("MAILDOMAIN_CACHE")
        .map(PathBuf::from)
        .or_else(|| {
            let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
            Some(user.or(home)?.join("maildomain"))
        });
    let versions = text("tests/world/versions.env");
    let version = versions
        .lines()
        .find_map(|line| line.strip_prefix("HELM_VERSION="))
        .unwrap();
    let pinned = cache.map(|cache| cache.join(format!("bin/helm-{version}/helm")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join("helm"));
    pinned.into_iter().chain(in_path).find(|helm| helm.is_file())
}
