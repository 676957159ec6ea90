//! The import graph of `src/`: which file names items of which other file.
//!
//! An item that a module re-exports counts for the file that defines it. Test modules do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, code_of, sources};

/// A module's path below the crate, such as `["store", "reader"]`.
type ModulePath = Vec<String>;

/// The modules of a crate, and what each re-exports.
#[derive(Default)]
struct Crate {
    /// The file of each module.
    files: BTreeMap<ModulePath, String>,
    /// The path that a re-exported name stands for, by module and name.
    exports: BTreeMap<(ModulePath, String), ModulePath>,
}

/// A path that a file names, with the module that it starts from resolved.
struct Named {
    path: ModulePath,
    name: String,
    is_export: bool,
}

/// Returns the files that each file imports from.
pub(crate) fn graph() -> BTreeMap<String, BTreeSet<String>> {
    graph_of(&sources(&["src"]))
}

fn graph_of(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let test_modules = sources.iter().flat_map(test_modules).collect::<BTreeSet<_>>();
    let is_test = |module: &ModulePath| test_modules.iter().any(|test| module.starts_with(test));
    let mut tree = Crate::default();
    let mut named = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&module_of(&source.path))) {
        tree.files.insert(module_of(&source.path), source.path.clone());
    }
    for source in sources.iter().filter(|source| !is_test(&module_of(&source.path))) {
        named.push((source.path.clone(), tree.named(&module_of(&source.path), &product_code(&source.text))));
    }
    for (file, paths) in &named {
        for path in paths.iter().filter(|path| path.is_export) {
            tree.exports.insert((module_of(file), path.name.clone()), path.path.clone());
        }
    }
    let mut graph = BTreeMap::new();
    for (file, paths) in named {
        let used = paths.iter().filter(|path| !path.is_export).filter_map(|path| tree.file_of(&path.path));
        let others = used.filter(|other| *other != file).collect();
        graph.insert(file, others);
    }
    graph
}

impl Crate {
    /// Returns the paths that a module's code names, resolved against the module.
    fn named(&self, module: &ModulePath, code: &str) -> Vec<Named> {
        let tokens = tokens(code);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let starts_path = at == 0 || tokens[at - 1] != "::";
            if tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
                let is_export = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                at = use_tree(&tokens, at + 1, &mut Vec::new(), &mut |path, name| {
                    found.extend(self.resolve(module, path).map(|path| Named { path, name, is_export }));
                });
            } else if starts_path && tokens.get(at + 1).is_some_and(|token| token == "::") {
                let path = tokens[at..].split(|token| token == "::").map_while(|segment| segment.first());
                let length = path_length(&tokens[at..]);
                let path = path.take(length).cloned().collect::<Vec<_>>();
                let name = String::new();
                found.extend(self.resolve(module, &path).map(|path| Named { path, name, is_export: false }));
            }
            at += 1;
        }
        found
    }

    /// Makes a path absolute. Returns `None` for a path of another crate.
    fn resolve(&self, module: &ModulePath, path: &[String]) -> Option<ModulePath> {
        let mut base = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                if !self.files.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// Returns the file that defines what an absolute path names.
    fn file_of(&self, path: &ModulePath) -> Option<String> {
        let mut path = path.clone();
        for _ in 0..10 {
            let depth = (0..=path.len()).rev().find(|depth| self.files.contains_key(&path[..*depth]))?;
            let module = path[..depth].to_vec();
            let export = path.get(depth).and_then(|name| self.exports.get(&(module.clone(), name.clone())));
            let Some(export) = export else { return self.files.get(&module).cloned() };
            path = export.iter().chain(&path[depth + 1..]).cloned().collect();
        }
        None
    }
}

/// Reads a `use` tree from `at`, reports each leaf with the name that it brings in, and returns where it ends.
fn use_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &mut Vec<String>,
    report: &mut impl FnMut(&[String], String),
) -> usize {
    let depth = prefix.len();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}" && token != ";") {
                    at = use_tree(tokens, at, prefix, report);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                at += 1;
                break;
            }
            "," | "}" | ";" => {
                leaf(prefix, None, report);
                break;
            }
            "as" => {
                leaf(prefix, tokens.get(at + 1), report);
                at += 2;
                break;
            }
            "::" => at += 1,
            _ => {
                prefix.push(token.clone());
                at += 1;
            }
        }
    }
    prefix.truncate(depth);
    at
}

fn leaf(path: &[String], alias: Option<&String>, report: &mut impl FnMut(&[String], String)) {
    let Some(last) = path.last() else { return };
    let path = if last == "self" || last == "*" { &path[..path.len() - 1] } else { path };
    let name = alias.or(path.last()).cloned().unwrap_or_default();
    report(path, name);
}

fn path_length(tokens: &[String]) -> usize {
    tokens.chunks(2).take_while(|pair| pair.get(1).is_some_and(|token| token == "::")).count() + 1
}

/// Cuts code into identifiers and punctuation; `::` is one token.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in code.chars() {
        let belongs_to_word = character.is_alphanumeric() || character == '_';
        match tokens.last_mut() {
            Some(last) if (belongs_to_word && in_word) || (character == ':' && last == ":") => {
                last.push(character);
            }
            _ if character.is_whitespace() => {}
            _ => tokens.push(character.to_string()),
        }
        in_word = belongs_to_word;
    }
    tokens
}

/// Returns the module that a file is: `src/store/mod.rs` is `store`, `src/lib.rs` the crate itself.
fn module_of(file: &str) -> ModulePath {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module = path.split('/').map(str::to_owned).collect::<Vec<_>>();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Returns the modules that a file declares for tests or fuzzing only.
fn test_modules(source: &Source) -> Vec<ModulePath> {
    let lines = source.text.lines().map(str::trim).collect::<Vec<_>>();
    let is_conditional = |line: &str| line == "#[cfg(test)]" || line == "#[cfg(fuzzing)]";
    let declared = lines.windows(2).filter(|pair| is_conditional(pair[0])).filter_map(|pair| {
        pair[1].strip_suffix(';')?.split_whitespace().skip_while(|word| *word != "mod").nth(1)
    });
    let path = |name: &str| [module_of(&source.path), vec![name.to_owned()]].concat();
    declared.map(path).collect()
}

/// Returns the code of a file without its inline test module, which rustfmt keeps at the end.
fn product_code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").map(|index| (index, &text[index..]));
    match end {
        Some((index, rest)) if rest.lines().nth(2).is_some_and(|line| line.ends_with('{')) => {
            code_of(&text[..index])
        }
        _ => code_of(text),
    }
}

/// Returns the groups of files that import each other in a circle, largest first.
pub(crate) fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = graph.keys().map(|file| (file, reach(graph, file))).collect::<BTreeMap<_, _>>();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(*file) {
            let circle =
                others.iter().filter(|other| reached.get(other).is_some_and(|back| back.contains(*file)));
            circles.insert(circle.cloned().collect::<Vec<_>>());
        }
    }
    let mut circles = circles.into_iter().collect::<Vec<_>>();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// Returns all files that a file imports from, directly or through others.
fn reach(graph: &BTreeMap<String, BTreeSet<String>>, file: &String) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        for other in graph.get(file).into_iter().flatten() {
            if reached.insert(other.clone()) {
                open.push(other);
            }
        }
    }
    reached
}

#[test]
fn circles_are_found_through_reexports_and_inline_paths_but_not_in_tests() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("src/lib.rs", "pub mod a;\npub mod d;\n"),
        source("src/a/mod.rs", "mod b;\nmod c;\n#[cfg(test)]\nmod tests;\npub use b::{B as Bee, self};\n"),
        source("src/a/b.rs", "use super::c::{C, D};\n"),
        source("src/a/c.rs", "fn f() { crate::a::Bee::new() }\n"),
        source("src/a/tests.rs", "use crate::d::X;\n"),
        source("src/d.rs", "use crate::a;\n\n#[cfg(test)]\nmod tests {\n    use crate::a::c;\n}\n"),
    ];
    let graph = graph_of(&sources);
    assert_eq!(circles(&graph), [["src/a/b.rs", "src/a/c.rs"]]);
    assert!(graph["src/a/mod.rs"].is_empty() && graph["src/lib.rs"].is_empty());
    assert_eq!(graph["src/d.rs"].iter().collect::<Vec<_>>(), ["src/a/mod.rs"]);
    assert!(!graph.contains_key("src/a/tests.rs"));
}
