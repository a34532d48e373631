//! What admission refuses.

use super::cases;
use crate::harness::{Site, kubectl, try_apply};

#[test]
fn admission_names_the_field_and_what_to_write() {
    let site = Site::new("refused");
    let refused = cases(include_str!("refused.txt"));
    assert!(refused.len() >= 100, "the table is read: {}", refused.len());
    let mut wrong = Vec::new();
    for case in &refused {
        let garbage = case.garbage;
        match try_apply(&case.manifest(&format!("{}-x", site.name), &site.namespace)) {
            Ok(_) => wrong.push(format!("{garbage}\n  was accepted")),
            Err(said) if !said.contains(case.field) || !said.contains(case.sentence) => {
                wrong.push(format!("{garbage}\n  {}", said.trim()));
            }
            Err(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        refused.len(),
        wrong.join("\n")
    );
    let left = kubectl(&[
        "-n",
        &site.namespace,
        "get",
        "maildomains,dkimsigners",
        "-o",
        "name",
    ]);
    assert_eq!(left, "");
}
