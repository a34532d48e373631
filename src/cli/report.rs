//! What `check` prints: a picture of the domain for a person, a shape for scripts, a page for a ticket. Pure.

use super::findings::{Block, Judged, Record, Verdict, counts};
use crate::api::Severity;

/// Values longer than this are cut in pictures.
const LONGEST: usize = 100;
/// More records of one protocol than this are counted in pictures, not shown.
const MOST: usize = 12;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A picture of the domain.
    Text,
    /// Everything, for scripts: a list with one object for each domain.
    Json,
    /// A page for a ticket.
    Markdown,
}

/// The text of all reports.
pub(super) fn show(judged: &[Judged], form: Form, coloured: bool) -> Result<String, serde_json::Error> {
    Ok(match form {
        Form::Text => {
            let pictures: Vec<String> = judged.iter().map(|each| picture(each, coloured)).collect();
            pictures.join("\n")
        }
        Form::Json => serde_json::to_string_pretty(judged)? + "\n",
        Form::Markdown => {
            let pages: Vec<String> = judged.iter().map(page).collect();
            pages.join("\n")
        }
    })
}

fn picture(judged: &Judged, coloured: bool) -> String {
    let paint = |verdict: Verdict, text: &str| {
        if coloured {
            format!("\x1b[{}m{text}\x1b[0m", colour(verdict))
        } else {
            text.to_owned()
        }
    };
    let mut text = format!("{}\n", judged.domain);
    for block in &judged.protocols {
        let mark = paint(block.verdict, &format!("{:7}", word(block.verdict)));
        let summary = block.summary.iter().map(|summary| format!("  {summary}"));
        text += &format!("\n{mark} {}{}\n", block.protocol, summary.collect::<String>());
        let width = block
            .records
            .iter()
            .take(MOST)
            .map(|record| record.name.len())
            .max();
        for record in block.records.iter().take(MOST) {
            for line in lines(record) {
                text += &format!(
                    "        {:width$}  {:5} {line}\n",
                    record.name,
                    record.kind,
                    width = width.unwrap_or_default().min(40)
                );
            }
        }
        if block.records.len() > MOST {
            text += &format!("        and {} more\n", block.records.len() - MOST);
        }
        for remark in remarks(block) {
            text += &format!("      {} {}\n", paint(remark.0, sign(remark.0)), remark.1);
        }
    }
    for unseen in &judged.not_looked_at {
        text += &format!("\nnot looked at: {unseen}");
    }
    let gap = if judged.not_looked_at.is_empty() { "" } else { "\n" };
    text + &format!(
        "{gap}\n{}: {}\n",
        judged.domain,
        paint(judged.verdict, &ending(judged))
    )
}

/// The findings of a block as lines, with what is declared and not there first.
fn remarks(block: &Block) -> Vec<(Verdict, String)> {
    let declared = block.not_as_declared.iter().map(|not| {
        let declared = not.declared.join(", ");
        let how = if not.verdict == Verdict::Fail {
            "is not as declared"
        } else {
            "could not be asked for"
        };
        let text = format!(
            "{} {} {how}: {}. Declared is {}",
            not.name,
            not.kind,
            not.seen,
            cut(&declared)
        );
        (not.verdict, text)
    });
    let findings = block.findings.iter().flat_map(|said| {
        let verdict = Verdict::from(said.severity);
        let finding = (verdict, format!("{} ({})", said.message, said.id));
        let paste = said
            .paste
            .iter()
            .map(move |lines| (verdict, format!("write {lines}")));
        std::iter::once(finding).chain(paste)
    });
    declared.chain(findings).collect()
}

fn lines(record: &Record) -> Vec<String> {
    match (&record.failure, record.values.as_slice()) {
        (Some(failure), _) => vec![format!("? the resolver {failure}")],
        (None, []) => vec!["- nothing".to_owned()],
        (None, values) => values.iter().map(|value| cut(value)).collect(),
    }
}

fn cut(value: &str) -> String {
    if value.chars().count() <= LONGEST {
        return value.to_owned();
    }
    let head: String = value.chars().take(LONGEST - 3).collect();
    format!("{head}...")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "ok",
        Verdict::Warn => "warning",
        Verdict::Unknown => "unknown",
        Verdict::Fail => "FAILS",
    }
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "i",
        Verdict::Warn => "~",
        Verdict::Unknown => "?",
        Verdict::Fail => "!",
    }
}

/// Of a terminal (ECMA-48).
fn colour(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 32,
        Verdict::Warn => 33,
        Verdict::Unknown => 35,
        Verdict::Fail => 31,
    }
}

fn ending(judged: &Judged) -> String {
    let counts = counts(judged);
    let of = |severity, one: &str, many: &str| {
        let count = counts.get(&severity).copied().unwrap_or_default();
        match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        }
    };
    let parts: Vec<String> = [
        of(Severity::Fail, "failure", "failures"),
        of(
            Severity::Unknown,
            "question without an answer",
            "questions without an answer",
        ),
        of(Severity::Warn, "warning", "warnings"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return "nothing is wrong with what was looked at".to_owned();
    }
    parts.join(", ")
}

fn page(judged: &Judged) -> String {
    let mut text = format!("## {}: {}\n", judged.domain, ending(judged));
    for block in &judged.protocols {
        let summary = block.summary.iter().map(|summary| format!(" ({summary})"));
        text += &format!(
            "\n### {}: {}{}\n\n",
            block.protocol,
            word(block.verdict),
            summary.collect::<String>()
        );
        if !block.records.is_empty() {
            text += "| name | type | what stands there |\n|---|---|---|\n";
        }
        for record in block.records.iter().take(MOST) {
            for line in lines(record) {
                let cell = line.replace('|', "\\|");
                text += &format!("| `{}` | {} | `{cell}` |\n", record.name, record.kind);
            }
        }
        if block.records.len() > MOST {
            text += &format!("| and {} more | | |\n", block.records.len() - MOST);
        }
        let remarks = remarks(block);
        if !block.records.is_empty() && !remarks.is_empty() {
            text += "\n";
        }
        for (verdict, remark) in remarks {
            text += &format!("* **{}**: {remark}\n", word(verdict));
        }
    }
    if !judged.not_looked_at.is_empty() {
        text += "\n### Not looked at\n\n";
    }
    for unseen in &judged.not_looked_at {
        text += &format!("* {unseen}\n");
    }
    text
}
