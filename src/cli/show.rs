//! Previews as text: a difference to read, lines for a zone file, a DNSEndpoint. Pure.

use serde_json::json;

use super::preview::{Entry, Fate, Preview};
use crate::api::TxtFormat;
use crate::publish::{PublishError, endpoint};
use crate::record::RecordType;

/// The widest column of names.
const WIDEST: usize = 48;

/// The form of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Lines to read: + added, - removed, ~ another TTL, = there already, ! conflict, ? not known.
    Diff,
    /// Lines for a zone file, with everything else as comments.
    Bind,
    /// A DNSEndpoint for ExternalDNS, with everything else as comments.
    Dnsendpoint,
}

/// Why a preview has no text.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// ExternalDNS could not store a record.
    #[error("failed to write {0} as a DNSEndpoint")]
    Endpoint(String, #[source] PublishError),
    /// Not representable as YAML.
    #[error("failed to print the DNSEndpoint")]
    Print(#[source] serde_saphyr::ser::Error),
}

/// How many of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    added: usize,
    removed: usize,
    changed: usize,
    promised: usize,
    there: usize,
    /// RRsets in conflict.
    pub(super) conflicts: usize,
    /// RRsets that could not be asked about.
    pub(super) unread: usize,
}

impl Counts {
    /// The counts of one preview.
    pub(super) fn of(preview: &Preview) -> Self {
        let mut counts = Self::default();
        for entry in &preview.entries {
            match &entry.fate {
                Fate::Write {
                    removed,
                    added,
                    ttl_before,
                } => {
                    counts.added += added.len();
                    counts.removed += removed.len();
                    counts.changed += usize::from(ttl_before.is_some());
                }
                Fate::Promised(_) => counts.promised += 1,
                // Nobody declared it.
                Fate::Signed(_) => {}
                Fate::There(values) => counts.there += values.len(),
                Fate::Conflict { .. } => counts.conflicts += 1,
                Fate::Unread { .. } => counts.unread += 1,
            }
        }
        counts
    }

    /// In one line.
    fn told(self) -> String {
        let Self {
            added,
            removed,
            changed,
            promised,
            there,
            conflicts,
            unread,
        } = self;
        let parts: Vec<String> = [
            (added, "to add", "to add"),
            (removed, "to remove", "to remove"),
            (changed, "with another TTL", "with another TTL"),
            (promised, "key record to follow", "key records to follow"),
            (there, "there already", "there already"),
            (conflicts, "conflict", "conflicts"),
            (unread, "not known", "not known"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
        if parts.is_empty() {
            return "nothing is declared that needs a record".to_owned();
        }
        let nothing = added + removed + changed + promised + conflicts + unread == 0;
        format!(
            "{}{}",
            parts.join(", "),
            if nothing { "; nothing to do" } else { "" }
        )
    }
}

/// The text of all previews.
pub(super) fn show(previews: &[Preview], output: Output) -> Result<String, ShowError> {
    let parts: Result<Vec<String>, ShowError> = previews
        .iter()
        .map(|preview| match output {
            Output::Diff => Ok(diff(preview)),
            Output::Bind => Ok(bind(preview)),
            Output::Dnsendpoint => dns_endpoint(preview),
        })
        .collect();
    Ok(parts?.join("\n"))
}

fn summary(preview: &Preview) -> String {
    format!("{}: {}", preview.domain, Counts::of(preview).told())
}

/// What one line says of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Removed,
    Added,
    Changed,
    Later,
    There,
    Conflict,
    Unread,
}

impl Mark {
    fn sign(self) -> char {
        match self {
            Self::Removed => '-',
            Self::Added | Self::Later => '+',
            Self::Changed => '~',
            Self::There => '=',
            Self::Conflict => '!',
            Self::Unread => '?',
        }
    }

    /// The beginning of a comment that takes the line out of a file; `None`: it belongs into the file.
    fn comment(self) -> Option<&'static str> {
        match self {
            Self::Added => None,
            Self::Removed => Some("remove"),
            Self::Changed => Some("note"),
            Self::Later => Some("later"),
            Self::There => Some("there"),
            Self::Conflict => Some("CONFLICT"),
            Self::Unread => Some("NOT KNOWN"),
        }
    }
}

/// The lines of an entry: a mark and a value each.
fn lines(entry: &Entry) -> Vec<(Mark, String)> {
    let all = |mark: Mark, values: &[String]| -> Vec<(Mark, String)> {
        values.iter().map(|value| (mark, value.clone())).collect()
    };
    match &entry.fate {
        Fate::Write {
            removed,
            added,
            ttl_before,
        } => {
            let ttl = ttl_before.map(|before| (Mark::Changed, format!("TTL {before} -> {}", entry.ttl)));
            let mut lines = all(Mark::Removed, removed);
            lines.extend(all(Mark::Added, added));
            lines.extend(ttl);
            lines
        }
        Fate::Promised(value) | Fate::Signed(value) => vec![(Mark::Later, value.clone())],
        Fate::There(values) => all(Mark::There, values),
        Fate::Conflict { there, .. } if there.is_empty() => vec![(Mark::Conflict, String::new())],
        Fate::Conflict { there, .. } => all(Mark::Conflict, there),
        Fate::Unread { wanted, .. } => all(Mark::Unread, wanted),
    }
}

/// How wide the column of names is. A few long ones (reverse names of IPv6) stick out instead of pushing all others away.
fn width(preview: &Preview) -> usize {
    let names = preview.entries.iter().map(|entry| entry.name.len());
    names.filter(|length| *length <= WIDEST).max().unwrap_or_default()
}

fn diff(preview: &Preview) -> String {
    let mut text = format!("{} ({})\n", preview.domain, preview.source);
    for note in &preview.notes {
        text += &format!("  note: {note}\n");
    }
    text.push('\n');
    let width = width(preview);
    for entry in &preview.entries {
        for (mark, value) in lines(entry) {
            let line = format!(
                "  {} {:width$}  {:5}  {value}",
                mark.sign(),
                entry.name,
                entry.record_type.as_str()
            );
            text += &format!("{}\n", line.trim_end());
        }
        for remark in remarks(entry) {
            text += &format!("      {remark}\n");
        }
    }
    let gap = if preview.entries.is_empty() { "" } else { "\n" };
    text + &format!("{gap}{}\n", summary(preview))
}

/// What stands below the lines of an entry.
fn remarks(entry: &Entry) -> Vec<String> {
    let mut remarks: Vec<String> = entry.note.iter().cloned().collect();
    match &entry.fate {
        Fate::Conflict { paste, why, .. } if paste.is_empty() => remarks.push(why.clone()),
        Fate::Conflict { paste, .. } => {
            remarks.push(
                "stands there by another hand, so nothing is written at this name. To go on, replace it by:"
                    .to_owned(),
            );
            remarks.extend(paste.iter().map(|value| zone_line(entry, value)));
        }
        Fate::Unread { why, .. } => remarks.push(why.clone()),
        Fate::Write { .. } | Fate::Promised(_) | Fate::Signed(_) | Fate::There(_) => {}
    }
    remarks
}

fn zone_line(entry: &Entry, value: &str) -> String {
    format!("{}. {} IN {} {value}", entry.name, entry.ttl, entry.record_type)
}

fn bind(preview: &Preview) -> String {
    let mut text = format!("; {}\n; {}\n", summary(preview), preview.source);
    for note in &preview.notes {
        text += &format!("; note: {note}\n");
    }
    let width = width(preview) + 1;
    let is_reverse = |entry: &&Entry| entry.record_type == RecordType::Ptr;
    let (reverse, forward): (Vec<&Entry>, Vec<&Entry>) = preview.entries.iter().partition(is_reverse);
    for (head, entries) in [
        ("", forward),
        ("; In the reverse zone, which may be another's:\n", reverse),
    ] {
        if !entries.is_empty() {
            text += head;
        }
        for entry in entries {
            for (mark, value) in lines(entry) {
                let comment = mark
                    .comment()
                    .map(|word| format!("; {word}: "))
                    .unwrap_or_default();
                let (name, kind) = (format!("{}.", entry.name), entry.record_type.as_str());
                let line = format!("{comment}{name:width$} {} IN {kind:5} {value}", entry.ttl);
                text += &format!("{}\n", line.trim_end());
            }
            for remark in remarks(entry) {
                text += &format!(";   {remark}\n");
            }
        }
    }
    text
}

fn dns_endpoint(preview: &Preview) -> Result<String, ShowError> {
    let mut text = format!("# {}\n# {}\n", summary(preview), preview.source);
    for note in &preview.notes {
        text += &format!("# note: {note}\n");
    }
    for entry in &preview.entries {
        let comments: Vec<&str> = lines(entry)
            .iter()
            .filter_map(|(mark, _)| mark.comment())
            .collect();
        let remarks = remarks(entry);
        if let Some(word) = comments.first().filter(|_| !remarks.is_empty()) {
            text += &format!("# {word}: {} {}\n", entry.name, entry.record_type);
            for remark in remarks {
                text += &format!("#   {remark}\n");
            }
        }
    }
    let spec = endpoint::spec(&preview.state, TxtFormat::Quoted)
        .map_err(|error| ShowError::Endpoint(preview.domain.to_string(), error))?;
    let Some(spec) = spec else {
        return Ok(text + "# nothing to add\n");
    };
    let mut metadata = json!({"name": preview.name});
    if let Some(namespace) = &preview.namespace {
        metadata["namespace"] = json!(namespace);
    }
    let object = json!({
        "apiVersion": endpoint::resource().api_version,
        "kind": "DNSEndpoint",
        "metadata": metadata,
        "spec": spec,
    });
    let yaml = serde_saphyr::to_string(&object).map_err(ShowError::Print)?;
    Ok(format!("---\n{text}{yaml}"))
}
