//! The image, as the archive that `tests/image` makes.

use std::path::Path;
use std::sync::Once;

use serde_json::Value;

use crate::harness::{run, var, world};

/// The largest image that the project promises.
const MAX_IMAGE: u64 = 30 << 20;

#[test]
fn the_image_is_small_and_holds_one_program() {
    let archive = archive();
    let size = std::fs::metadata(&archive).expect("the archive is there").len();
    assert!(size < MAX_IMAGE, "{archive} has {size} bytes");
    let index: Value = serde_json::from_str(&unpack(&archive, "index.json")).expect("an OCI index");
    let manifest = blob(&archive, &index["manifests"][0]);
    let config = blob(&archive, &manifest["config"]);
    assert_eq!(config["config"]["User"], "65532:65532");
    let files: Vec<String> = manifest["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|layer| {
            let list = format!("tar -xOf '{archive}' '{}' | tar -tv", path_of(layer));
            run("sh", &["-c", &list])
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with('-') && line.contains('x'))
        .map(|line| line.split_whitespace().last().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(files, ["maildomain"], "the programs in the image");
}

fn archive() -> String {
    let archive = var("MAILDOMAIN_IMAGE");
    assert!(
        Path::new(&archive).is_file(),
        "MAILDOMAIN_IMAGE is {archive}, which is no archive: tests/image makes one"
    );
    archive
}

pub(super) fn load_image() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        world(&["image", "load", &archive()]);
    });
}

/// The name under which the archive's image is known once it is loaded.
pub(super) fn image_name() -> String {
    let index: Value = serde_json::from_str(&unpack(&archive(), "index.json")).expect("an OCI index");
    let name = &index["manifests"][0]["annotations"]["io.containerd.image.name"];
    name.as_str().expect("the archive names its image").to_owned()
}

fn unpack(archive: &str, path: &str) -> String {
    run("tar", &["-xOf", archive, path])
}

fn path_of(descriptor: &Value) -> String {
    format!(
        "blobs/{}",
        descriptor["digest"]
            .as_str()
            .unwrap_or_default()
            .replace(':', "/")
    )
}

fn blob(archive: &str, descriptor: &Value) -> Value {
    serde_json::from_str(&unpack(archive, &path_of(descriptor))).expect("JSON")
}
