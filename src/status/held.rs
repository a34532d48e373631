//! What is said of removals that are held back, and of what retires.

use crate::api::ACKNOWLEDGE_DELETIONS;
use crate::plan::{HeldBack, Retiring};

/// So many lines are shown.
const SHOWN: usize = 3;
/// A line is cut behind so many characters: a key record would fill the message.
const LINE: usize = 60;

/// What would go, why it does not, and how to let it go.
pub(super) fn message(held: &HeldBack) -> String {
    let lines: Vec<String> = held.lines().collect();
    let shown: Vec<String> = lines.iter().take(SHOWN).map(|line| shorten(line)).collect();
    let more = match lines.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(
        "{} records of ours would be removed though no change of this MailDomain explains it; they stay: {}{more}. Declare what shall stay, or set the annotation {ACKNOWLEDGE_DELETIONS}: \"{}\" to remove exactly these",
        lines.len(),
        shown.join(", "),
        held.hash
    )
}

/// What stays, and until when.
pub(super) fn retiring(retiring: &Retiring) -> String {
    let what: Vec<String> = retiring.what.iter().map(|what| shorten(what)).collect();
    format!(
        "declared no more; stays until {}: {}",
        retiring.until,
        what.join(", ")
    )
}

fn shorten(line: &str) -> String {
    if line.chars().count() <= LINE {
        return line.to_owned();
    }
    let head: String = line.chars().take(LINE).collect();
    format!("{head}...")
}
