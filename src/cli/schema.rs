//! A value against the schema of its definition: the mistakes that the API server would find, with the path of each.
//!
//! Pure. Admission rules (CEL) are not run here; what they refuse is refused by [`crate::intent`] too.

use serde_json::{Map, Value as Json};

use crate::intent::Problem;

/// Every mistake of a value, by path. `path` is where the value stands.
pub(super) fn check(schema: &Json, value: &Json, path: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    visit(schema, value, path, &mut problems);
    problems
}

fn visit(schema: &Json, value: &Json, path: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| {
        problems.push(Problem {
            field: path.to_owned(),
            message,
        });
    };
    if value.is_null() {
        if schema["nullable"] != true {
            wrong("is empty; give it a value or remove it".to_owned());
        }
        return;
    }
    match (schema["type"].as_str().unwrap_or_default(), value) {
        ("object", Json::Object(fields)) => object(schema, fields, path, problems),
        ("array", Json::Array(items)) => array(schema, items, path, problems),
        ("string", Json::String(text)) => {
            if let Some(message) = string(schema, text) {
                wrong(message);
            }
        }
        ("integer", Json::Number(number)) if number.is_i64() || number.is_u64() => {
            if let Some(message) = integer(schema, number.as_i64().unwrap_or(i64::MAX)) {
                wrong(message);
            }
        }
        ("boolean", Json::Bool(_)) | ("", _) => {}
        ("string", Json::Number(_) | Json::Bool(_)) => {
            wrong(format!("is {value} and must be a text; write \"{value}\""));
        }
        (wanted, _) => wrong(format!("must be {}", said(wanted))),
    }
}

fn said(kind: &str) -> &'static str {
    match kind {
        "object" => "a map of fields",
        "array" => "a list",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "a text",
    }
}

fn object(schema: &Json, fields: &Map<String, Json>, path: &str, problems: &mut Vec<Problem>) {
    let known = schema["properties"].as_object();
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match known.and_then(|known| known.get(name)) {
            Some(schema) => visit(schema, value, &path, problems),
            None => {
                let near = known.and_then(|known| nearest(name, known.keys()));
                let fix = near.map_or_else(
                    || "remove it or correct its spelling".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                problems.push(Problem {
                    field: path,
                    message: format!("is not a field; {fix}"),
                });
            }
        }
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Json::as_str) {
        if !fields.contains_key(name) {
            problems.push(Problem {
                field: format!("{path}.{name}"),
                message: "is missing; add it".to_owned(),
            });
        }
    }
}

fn array(schema: &Json, items: &[Json], path: &str, problems: &mut Vec<Problem>) {
    let count = |name: &str| schema[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let wrong = match (count("minItems"), count("maxItems")) {
        (Some(least), _) if items.len() < least => Some(format!("must have {least} entries or more")),
        (_, Some(most)) if items.len() > most => Some(format!("must have {most} entries at most")),
        _ => None,
    };
    problems.extend(wrong.map(|message| Problem {
        field: path.to_owned(),
        message,
    }));
    for (index, item) in items.iter().enumerate() {
        visit(&schema["items"], item, &format!("{path}[{index}]"), problems);
    }
}

fn string(schema: &Json, text: &str) -> Option<String> {
    let choices: Vec<&str> = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    if !choices.is_empty() && !choices.contains(&text) {
        let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        return Some(format!("\"{short}\" is not one of {}", choices.join(", ")));
    }
    let length = text.chars().count() as u64;
    match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        (Some(least), _) if length < least => Some(format!("must have {least} characters or more")),
        (_, Some(most)) if length > most => Some(format!("must have {most} characters at most")),
        _ => None,
    }
}

fn integer(schema: &Json, number: i64) -> Option<String> {
    let bound = |name: &str| schema[name].as_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds of the schema are small whole numbers"
    )]
    let value = number as f64;
    let (least, most) = (bound("minimum"), bound("maximum"));
    let outside = least.is_some_and(|least| value < least) || most.is_some_and(|most| value > most);
    let range = match (least, most) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("{most} or less"),
        (None, None) => return None,
    };
    outside.then(|| format!("is {number} and must be {range}"))
}

/// The known word that two slips of the keyboard lead from.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known
        .map(|other| {
            (
                distance(&word.to_ascii_lowercase(), &other.to_ascii_lowercase()),
                other,
            )
        })
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// How many characters must be put in, taken out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = row[j] + usize::from(a != *b);
            next.push(changed.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_mistake_has_a_path_and_a_fix() {
        let schema = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 4},
            "mode": {"type": "string", "enum": ["Publish", "Manual"]},
            "ttl": {"type": "integer", "minimum": 30, "maximum": 60},
            "hosts": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"n": {"type": "boolean"}}}},
            "gone": {"type": "string", "nullable": true},
        }});
        for (value, expected) in [
            (json!({"name": "abc", "gone": null}), ""),
            (json!({}), "spec.name is missing; add it"),
            (json!({"name": "a"}), "spec.name must have 2 characters or more"),
            (
                json!({"name": "abcde"}),
                "spec.name must have 4 characters at most",
            ),
            (
                json!({"name": 12}),
                "spec.name is 12 and must be a text; write \"12\"",
            ),
            (json!({"name": ["a"]}), "spec.name must be a text"),
            (
                json!({"name": null}),
                "spec.name is empty; give it a value or remove it",
            ),
            (
                json!({"name": "ab", "mode": "manual"}),
                "spec.mode \"manual\" is not one of Publish, Manual",
            ),
            (
                json!({"name": "ab", "ttl": 5}),
                "spec.ttl is 5 and must be between 30 and 60",
            ),
            (
                json!({"name": "ab", "ttl": "40"}),
                "spec.ttl must be a whole number",
            ),
            (
                json!({"name": "ab", "host": []}),
                "spec.host is not a field; did you mean hosts?",
            ),
            (
                json!({"name": "ab", "xyzzy": 1}),
                "spec.xyzzy is not a field; remove it or correct its spelling",
            ),
            (json!({"name": "ab", "hosts": {}}), "spec.hosts must be a list"),
            (
                json!({"name": "ab", "hosts": [{}, {"n": 1}]}),
                "spec.hosts[1].n must be true or false",
            ),
            (
                json!({"name": "ab", "hosts": [{}, {}, {}]}),
                "spec.hosts must have 2 entries at most",
            ),
        ] {
            let said: Vec<String> = check(&schema, &value, "spec")
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(said.join("; "), expected, "{value}");
        }
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["providerRefs".to_owned(), "mode".to_owned()];
        assert_eq!(
            nearest("providerRef", known.iter()).map(String::as_str),
            Some("providerRefs")
        );
        assert_eq!(nearest("Mode", known.iter()).map(String::as_str), Some("mode"));
        assert_eq!(nearest("hosts", known.iter()), None);
    }
}
