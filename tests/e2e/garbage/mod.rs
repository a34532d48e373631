//! Garbage in every field. Admission refuses it with the field and what to write; what admission cannot see is
//! accepted, changes nothing, is said in the condition, and is nobody else's trouble.

mod admission;
mod condition;

/// A line of a table.
struct Case {
    /// A kind and its spec; `@` stands for the garbage.
    place: &'static str,
    garbage: &'static str,
    /// The field that is named.
    field: &'static str,
    /// What is said about it.
    sentence: &'static str,
}

impl Case {
    fn manifest(&self, name: &str, namespace: &str) -> String {
        let (kind, spec) = self.place.split_once(' ').expect("a kind and a spec");
        let scope = if kind == "ClusterDNSProvider" {
            String::new()
        } else {
            format!(", namespace: {namespace}")
        };
        format!(
            "apiVersion: maildomain.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{scope}}}\nspec: {}\n",
            spec.replace('@', self.garbage)
        )
    }
}

/// Reads a table; its head says how it is written.
fn cases(table: &'static str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut place = "";
    for line in table.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix("= ") {
            place = heading;
            continue;
        }
        let fields: Vec<&str> = line.split(" | ").collect();
        let [garbage, field, sentence] = fields[..] else {
            panic!("not a case: {line}");
        };
        // Every message holds the empty text.
        assert!(!field.is_empty() && !sentence.is_empty(), "not a case: {line}");
        cases.push(Case {
            place,
            garbage,
            field,
            sentence,
        });
    }
    cases
}
