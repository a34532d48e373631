#!/usr/bin/env python3
"""Writes docs/api.md from the schemas of the CustomResourceDefinitions.

    api.py crds/*.yaml > docs/api.md

Each kind has a table of spec and one of status: field, type with its bounds, default, meaning. Types that every
Kubernetes user knows (label selectors, conditions) are named, not unfolded.
"""

import sys

import yaml

# Kinds in the order in which a reader meets them; others follow.
ORDER = ["MailDomain", "DKIMSigner", "ClusterDNSProvider", "MailDomainClaim", "RecordLedger"]


def main():
    kinds = {}
    for path in sys.argv[1:]:
        with open(path) as file:
            definition = yaml.safe_load(file)["spec"]
        kinds[definition["names"]["kind"]] = definition
    out = [
        "<!-- Made by `make generate` from crds/; do not edit. -->",
        "# API reference",
        "",
        "`[]` marks the elements of a list, `{}` the values of a map. Fields in **bold** are required where their parent is there.",
        "`kubectl explain maildomain.spec --recursive` says the same on the command line.",
        "",
        "| kind | scope | short name | what it is |",
        "|---|---|---|---|",
    ]
    names = sorted(kinds, key=lambda kind: (ORDER.index(kind) if kind in ORDER else len(ORDER), kind))
    for kind in names:
        definition = kinds[kind]
        short = ", ".join(f"`{name}`" for name in definition["names"].get("shortNames", []))
        out.append(f"| [{kind}](#{kind.lower()}) | {definition['scope']} | {short} | {cell(about(definition))} |")
    for kind in names:
        out += section(kind, kinds[kind])
    print("\n".join(out))


def about(definition):
    """The text of the resource stands at spec: the derive puts a text of its own at the top."""
    return schema_of(definition)["properties"].get("spec", {}).get("description", "")


def schema_of(definition):
    return definition["versions"][-1]["schema"]["openAPIV3Schema"]


def section(kind, definition):
    version = definition["versions"][-1]["name"]
    schema = schema_of(definition)
    out = ["", f"## {kind}", "", f"`apiVersion: {definition['group']}/{version}`", "", flat(about(definition))]
    for part in ("spec", "status"):
        rows, rules = [], []
        if part in schema["properties"]:
            walk(part, schema["properties"][part], False, rows, rules, top=True)
        if not rows:
            continue
        out += ["", f"### {kind} {part}", "", "| field | type | default | meaning |", "|---|---|---|---|", *rows]
        if rules:
            out += ["", "The API server refuses an object that breaks one of these rules, with these words:", "", *rules]
    return out


def walk(path, schema, required, rows, rules, top=False):
    rules += sentences(path, schema)
    if not top:
        rows.append(row(path, schema, required))
    if known_type(schema):
        return
    if schema.get("type") == "array":
        items = schema["items"]
        rules += sentences(f"{path}[]", items)
        children(f"{path}[]", items, rows, rules)
    elif "properties" in schema:
        children(path, schema, rows, rules)
    elif isinstance(schema.get("additionalProperties"), dict):
        children(f"{path}{{}}", schema["additionalProperties"], rows, rules)


def sentences(path, schema):
    return [f"- `{path}`: {flat(rule.get('message', rule['rule']))}" for rule in schema.get("x-kubernetes-validations", [])]


def children(path, schema, rows, rules):
    if known_type(schema):
        return
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        walk(f"{path}.{name}", field, name in required, rows, rules)


def row(path, schema, required):
    # The reader knows in which table they are.
    field = path.split(".", 1)[1]
    field = f"**`{field}`**" if required else f"`{field}`"
    return f"| {field} | {type_of(schema)} | {default_of(schema)} | {cell(schema.get('description', ''))} |"


def known_type(schema):
    names = set(schema.get("properties", {}))
    if names == {"matchExpressions", "matchLabels"}:
        return "LabelSelector"
    if {"type", "status", "reason", "message", "lastTransitionTime"} <= names:
        return "Condition"
    return None


def type_of(schema):
    if known := known_type(schema):
        return known
    kind = schema.get("type", "any")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if kind == "array":
        count = between(schema.get("minItems"), schema.get("maxItems"))
        return f"list of {type_of(schema['items'])}" + (f"; {count} of them" if count else "")
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {type_of(schema['additionalProperties'])}"
    if kind == "string":
        kind = {"date-time": "time", "byte": "bytes"}.get(schema.get("format"), kind)
        length = between(schema.get("minLength"), schema.get("maxLength"))
        return kind + (f", {length} characters" if length else "")
    if kind in ("integer", "number"):
        size = between(schema.get("minimum"), schema.get("maximum"))
        return kind + (f", {size}" if size else "")
    return kind


def between(low, high):
    low, high = (int(bound) if bound is not None else None for bound in (low, high))
    if low is not None and high is not None:
        return f"{low}" if low == high else f"{low} to {high}"
    if high is not None:
        return f"at most {high}"
    return f"at least {low}" if low is not None else ""


def default_of(schema):
    default = schema.get("default")
    if default is None or default == {} or isinstance(default, dict):
        return ""
    if isinstance(default, list):
        return ", ".join(f"`{value}`" for value in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def flat(text):
    return " ".join(text.split())


def cell(text):
    """In one line of a table. The lines of a description are paragraphs, such as the meaning of each value."""
    lines = [flat(line) for line in text.splitlines()]
    return "<br>".join(line for line in lines if line).replace("|", "\\|")


if __name__ == "__main__":
    main()
