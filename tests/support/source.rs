//! The project's own files as text: where they are, what of them is test code, where functions begin and end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the root.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a file or directory, by its path from the root, sorted.
pub(crate) fn files(below: impl AsRef<Path>) -> Vec<PathBuf> {
    let path = root().join(&below);
    assert!(path.exists(), "{} is gone", below.as_ref().display());
    if path.is_file() {
        return vec![below.as_ref().to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap();
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| files(below.as_ref().join(entry.unwrap().file_name())))
        .collect();
    found.sort();
    found
}

/// The files with this ending.
pub(crate) fn files_with(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = files(below);
    found.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    found
}

/// Modules that are compiled for tests alone, as paths without their ending: `#[cfg(test)] mod name;`.
pub(crate) fn test_modules() -> BTreeSet<PathBuf> {
    let mut modules = BTreeSet::new();
    for path in files_with("src", "rs") {
        let text = text(&path);
        let mut lines = text.lines();
        let directory = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") => path.parent().unwrap().to_owned(),
            _ => path.with_extension(""),
        };
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                continue;
            }
            let module = lines
                .next()
                .and_then(|next| next.strip_suffix(';')?.split_once("mod "));
            modules.extend(module.map(|(_, name)| directory.join(name)));
        }
    }
    modules
}

/// The Rust files that run in the operator.
pub(crate) fn production_files(below: &str) -> Vec<PathBuf> {
    let tests = test_modules();
    let is_test = |path: &PathBuf| {
        tests
            .iter()
            .any(|module| path.with_extension("").starts_with(module))
    };
    let mut found = files_with(below, "rs");
    found.retain(|path| !is_test(path));
    found
}

/// The lines that run in the operator, with their numbers: without inline test modules and without comments.
pub(crate) fn production_lines(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let is_module = |next: &str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| is_module(next)) {
            lines.by_ref().take_while(|(_, line)| *line != "}").for_each(drop);
            continue;
        }
        let code = line.split_once(" // ").map_or(line, |(code, _)| code);
        if !code.trim_start().starts_with("//") {
            kept.push((number, code));
        }
    }
    kept
}

/// A function as it stands in a formatted file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// Number of its first line.
    pub(crate) line: usize,
    pub(crate) lines: Vec<&'a str>,
}

/// Functions by indentation: one ends at the first brace that stands as far left as its beginning. rustfmt sees to that.
pub(crate) fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else {
            continue;
        };
        let closing = format!("{}}}", &line[..indent]);
        let is_last = |line: &&str| **line == closing || !line.starts_with(' ') && line.ends_with(';');
        let ends_here = line.ends_with('}') || line.ends_with(';');
        let length = if ends_here {
            1
        } else {
            let rest = &lines[index + 1..];
            rest.iter().position(is_last).map_or(rest.len(), |last| last + 1) + 1
        };
        found.push(Function {
            name,
            line: index + 1,
            lines: lines[index..index + length].to_vec(),
        });
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    let is_function = before.split_whitespace().all(|word| qualifiers.contains(&word));
    let end = rest.find(['(', '<'])?;
    is_function.then(|| &rest[..end])
}
