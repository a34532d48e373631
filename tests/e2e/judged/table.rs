//! The committed table of disagreements. The words are compared exactly; the reasons are written by hand.

use std::collections::BTreeMap;

use super::zones::directory;

const HEAD: &str = "# Where a judge and we disagree

Each row is one answer of a foreign judge that differs from ours on a zone of tests/judged, and what decides it. The end-to-end test
`judged` fails when a row is missing, when one is no longer true, and when one has no reason. `UPDATE_EXPECT=1` writes the rows anew and keeps
the reasons of those that are the same; the others are written by hand. What the questions mean is said in docs/judges.md.

| zone | question | judge | says | we say | decided by |
|---|---|---|---|---|---|
";

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) zone: String,
    pub(super) question: String,
    pub(super) judge: &'static str,
    pub(super) says: String,
    pub(super) ours: String,
}

impl Row {
    /// Its cells but for the last one.
    fn cells(&self) -> String {
        let Self {
            zone,
            question,
            judge,
            says,
            ours,
        } = self;
        format!("| {zone} | {question} | {judge} | {says} | {ours} |")
    }
}

/// What is wrong with the committed table, one a line; nothing when it says just what was seen.
pub(super) fn differences(mut seen: Vec<Row>) -> Vec<String> {
    seen.sort();
    let path = directory().join("disagreements.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let mut reasons = read(&committed);
    let mut table = HEAD.to_owned();
    let mut wrong = Vec::new();
    for row in seen {
        let cells = row.cells();
        let reason = reasons.remove(&cells);
        match reason.as_deref() {
            None => wrong.push(format!("new: {cells}")),
            Some("") => wrong.push(format!("without a reason: {cells}")),
            Some(_) => {}
        }
        table += &format!("{cells} {} |\n", reason.unwrap_or_default());
    }
    wrong.extend(reasons.keys().map(|cells| format!("no longer so: {cells}")));
    if wrong.is_empty() && committed != table {
        wrong.push("the rows are right, and not in order or not alone".to_owned());
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, table).expect("the table can be written");
    }
    wrong
}

/// The reason of each row, by its other cells.
fn read(table: &str) -> BTreeMap<String, String> {
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| {
        let line = line.trim_end().trim_end_matches('|').trim_end();
        let mut bars = line.match_indices('|').map(|(at, _)| at);
        // The sixth bar ends the fifth cell; a reason may be missing.
        let end = bars.nth(5).unwrap_or(line.len());
        let (cells, reason) = line.split_at(end);
        (
            format!("{cells}|"),
            reason.trim_start_matches('|').trim().to_owned(),
        )
    })
    .collect()
}
