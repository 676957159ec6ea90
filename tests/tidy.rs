//! Checks rules that the compiler does not: layers, lengths, words, and a reason for every dependency.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "tidy/imports.rs"]
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;

/// The layers by height. A file imports only lower layers and its own folder.
const LAYERS: [(&str, u8); 13] = [
    ("model", 0),
    ("config", 1),
    ("rules", 2),
    ("store", 3),
    ("net", 3),
    ("flow", 4),
    ("api", 5),
    ("ui", 6),
    ("app", 7),
    ("console", 8),
    ("demo", 9),
    ("bench", 9),
    ("cli", 10),
];

/// Crates that only one place may name, so that they can be replaced there.
const CONFINED: [(&str, &str); 5] = [
    ("sled::", "src/store/"),
    ("bincode::", "src/store/rows/record"),
    ("reqwest::", "src/net/"),
    ("lettre::", "src/net/mail"),
    ("opentelemetry", "src/net/otlp"),
];

/// Returns words that mark unfinished work. They are assembled here so that this file passes its own test.
fn banned_words() -> Vec<String> {
    [("TO", "DO:"), ("TO", "DO("), ("FIX", "ME"), ("XX", "X")].map(|(a, b)| format!("{a}{b}")).to_vec()
}

struct Source {
    path: String,
    text: String,
}

/// Returns every Rust file of the folders, sorted by path.
fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut found);
    }
    found.sort();
    let read = |path: PathBuf| Source {
        path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn hold(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Returns the layer of a file: its folder under `src`, or its own name.
fn layer_of(path: &str) -> Option<&'static (&'static str, u8)> {
    let first = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    LAYERS.iter().find(|(name, _)| *name == first)
}

/// Returns the line without its comment and without the contents of its string literals.
fn code(line: &str) -> String {
    let mut code = String::new();
    let (mut in_text, mut escaped) = (false, false);
    for (index, character) in line.char_indices() {
        if !in_text && line[index..].starts_with("//") {
            break;
        }
        if character == '"' && !escaped && !line[..index].ends_with('\'') {
            in_text = !in_text;
        }
        escaped = character == '\\' && !escaped;
        if !in_text {
            code.push(character);
        }
    }
    code
}

/// Returns the top-level modules of this crate that a piece of code names, as in `use crate::{model::…, …}`.
fn named_modules(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (index, _) in code.match_indices("crate::") {
        let rest = &code[index + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(first_names_of_group(group)),
            None => modules.push(first_name(rest)),
        }
    }
    modules
}

/// Returns the first names of a group: `a` and `d` for `a::{b, c}, d::e}`.
fn first_names_of_group(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut at_start) = (Vec::new(), 0, true);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            character if at_start && !character.is_whitespace() => {
                names.push(first_name(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Joins all code of a file into one line, so that a `use` over several lines is one piece.
fn code_of(text: &str) -> String {
    text.lines().map(|line| code(line) + " ").collect()
}

#[test]
fn files_import_only_lower_layers_and_their_own_folder() {
    let mut problems = Vec::new();
    for source in sources(&["src"]) {
        let Some((own, height)) = layer_of(&source.path) else { continue };
        for module in named_modules(&code_of(&source.text)) {
            let layer = LAYERS.iter().find(|(name, _)| *name == module);
            if layer.is_some_and(|(name, other)| name != own && other >= height) {
                problems.push(format!("{} names crate::{module}, which is not below {own}", source.path));
            }
        }
    }
    hold(&problems);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = imports::circles(&imports::graph());
    let describe =
        |circle: &Vec<String>| format!("{} files in a circle: {}", circle.len(), circle.join(", "));
    hold(&circles.iter().map(describe).collect::<Vec<_>>());
}

#[test]
fn confined_crates_are_named_in_one_place_only() {
    let mut problems = Vec::new();
    for source in sources(&["src"]) {
        let code = code_of(&source.text);
        for (name, home) in CONFINED.iter().filter(|(_, home)| !source.path.starts_with(home)) {
            let named = code.match_indices(name).any(|(index, _)| {
                !code[..index].ends_with(|character: char| character.is_alphanumeric() || character == '_')
            });
            if named {
                problems.push(format!("{} names {name}, which is kept to {home}", source.path));
            }
        }
    }
    hold(&problems);
}

#[test]
fn functions_and_files_are_short() {
    let mut problems = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{} has {lines} lines, more than {FILE_LINES_MAX}", source.path));
        }
        for (line, length) in
            functions(&source.text).into_iter().filter(|(_, length)| *length > FUNCTION_LINES_MAX)
        {
            let path = &source.path;
            problems
                .push(format!("{path}:{line}: a function of {length} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    hold(&problems);
}

/// Returns the first line and length of each function. rustfmt closes one with a brace at its own
/// indentation.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines = text.lines().collect::<Vec<_>>();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let indent = line.len() - line.trim_start().len();
        let ends = |line: &&str| {
            line.len() > indent && line[..indent].trim().is_empty() && line[indent..].starts_with('}')
        };
        let is_one_line = line.ends_with(['}', ';']);
        if let Some(length) = lines[start..].iter().position(ends).filter(|_| !is_one_line) {
            found.push((start + 1, length + 1));
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let words = code(line);
    let mut words = words.split_whitespace();
    let is_modifier = |word: &&str| {
        matches!(*word, "const" | "async" | "unsafe" | "extern")
            || word.starts_with("pub")
            || matches!(*word, "crate)" | "super)")
    };
    words.find(|word| !is_modifier(word)) == Some("fn")
}

#[test]
fn no_unfinished_marks_are_left_and_no_test_sleeps() {
    let mut problems = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let in_tests = source.path.starts_with("tests/");
        let mut words = banned_words();
        if in_tests {
            words.extend([["time::", "sleep("].concat(), ["thread::", "sleep("].concat()]);
        }
        for (index, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                problems.push(format!("{}:{}: '{word}'", source.path, index + 1));
            }
        }
    }
    hold(&problems);
}

#[test]
fn every_file_begins_with_a_doc_comment() {
    let silent = |source: &Source| !source.text.starts_with("//!");
    let files = sources(&["src", "tests", "benches"]).into_iter().filter(silent);
    hold(&files.map(|source| format!("{} does not begin with //!", source.path)).collect::<Vec<_>>());
}

/// A comment covers the lines directly below it, up to the next comment or empty line.
#[test]
fn every_dependency_has_a_reason() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (mut in_dependencies, mut has_reason, mut seen, mut problems) = (false, false, 0, Vec::new());
    for (index, line) in manifest.lines().enumerate() {
        match line {
            "" => has_reason = false,
            comment if comment.starts_with('#') => has_reason = true,
            header if header.starts_with('[') => {
                in_dependencies = header.ends_with("dependencies]");
                has_reason = false;
            }
            _ if in_dependencies => {
                seen += 1;
                if !has_reason {
                    problems.push(format!("Cargo.toml:{}: no reason above {line}", index + 1));
                }
            }
            _ => {}
        }
    }
    assert!(seen > 10, "only {seen} dependencies were found");
    hold(&problems);
}

#[test]
fn the_checks_detect_what_they_check_for() {
    let modules =
        named_modules("use crate::{model::id, store::{a, b}, net}; crate::flow::x(pub(crate) fn y)");
    assert_eq!(modules, ["model", "store", "net", "flow"]);
    assert_eq!(code(r#"let a = "crate::x // y"; // crate::z"#).trim(), r#"let a = ";"#);
    assert_eq!(layer_of("src/store/rows/record.rs").unwrap().0, "store");
    assert_eq!(layer_of("src/app.rs").unwrap().1, 7);
    let long =
        format!("impl X {{\n    pub(crate) async fn f() {{\n{}    }}\n}}\n", "        x();\n".repeat(71));
    assert_eq!(functions(&long), [(2, 73)]);
    assert_eq!(functions("fn a() {}\nfn b(\n    c: u8,\n) -> u8 {\n    c\n}\n"), [(2, 5)]);
}
