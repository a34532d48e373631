//! What `kubectl explain` shows: descriptions in whole paragraphs, and the meaning of each value of an enumeration.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::Schema;
use serde_json::{Value, json};

/// Transform of an enumeration: its values as a plain list, and in `title`, which nothing else here uses, what each one
/// means. It has no description of its own: it would take the place of the field's.
pub(super) fn values(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.remove("oneOf") else {
        return;
    };
    let text = |variant: &Value, key| variant[key].as_str().unwrap_or_default().to_owned();
    let meanings: Vec<String> = variants
        .iter()
        .map(|v| format!("`{}`: {}", text(v, "const"), paragraphs(&text(v, "description"))))
        .collect();
    schema.remove("description");
    schema.insert("type".to_owned(), json!("string"));
    let names: Vec<String> = variants.iter().map(|v| text(v, "const")).collect();
    schema.insert("enum".to_owned(), json!(names));
    schema.insert("title".to_owned(), json!(meanings.join("\n")));
}

/// Finishes every description of a definition.
pub(super) fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            describe(schema);
        }
    }
    definition
}

fn describe(schema: &mut JSONSchemaProps) {
    let own = schema.description.as_deref().map(paragraphs);
    let meanings = schema.title.take_if(|_| schema.enum_.is_some());
    let text: Vec<String> = own.into_iter().chain(meanings).collect();
    schema.description = (!text.is_empty()).then(|| text.join("\n"));
    // An optional field may be null; that is no value to choose.
    schema
        .enum_
        .iter_mut()
        .for_each(|values| values.retain(|value| !value.0.is_null()));
    schema
        .properties
        .iter_mut()
        .flat_map(|p| p.values_mut())
        .for_each(describe);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        describe(items);
        // Of the items of a list kubectl shows fields only.
        if let (Some(own), true) = (&mut schema.description, items.enum_.is_some()) {
            own.extend(items.description.take().map(|meanings| format!("\n{meanings}")));
        }
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        describe(values);
    }
}

/// Without the line ends of the source; those between paragraphs stay.
fn paragraphs(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use crate::api::definitions;

    #[test]
    fn every_value_is_explained_and_no_line_breaks_in_a_sentence() {
        let definitions =
            serde_json::to_string(&definitions().into_iter().map(|(_, d)| d).collect::<Vec<_>>()).unwrap();
        for text in [
            // A required field, an optional one, one in a list, one in status.
            r"What the host is for; decides which records it gets and how it is judged.\n`Web`: A web interface.\n",
            r"Default `Check`.\n`Publish`: Publish PTR;",
            r"receivers ignore them or suffer from them.\n`SenderID`: `spf2.0/pra` beside SPF",
            r"How far the key is.\n`Pending`: ",
            r"The operator makes the keys, publishes every record, asks the world",
        ] {
            assert!(definitions.contains(text), "{text}");
        }
        for text in [r#""title":"`"#, "null]", "[null"] {
            assert!(!definitions.contains(text), "{text} was left behind");
        }
    }
}
