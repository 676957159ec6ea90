//! Checks the book: its links and includes exist, and it describes the existing alerts.
//!
//! `cargo test --test documents book:: -- --ignored` builds it, which needs mdbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn pages_folder() -> PathBuf {
    in_repository("docs/book/src")
}

/// Returns the pages by their file names.
fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<_> = fs::read_dir(pages_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// Returns each text between `open` and `close`.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inside, _)| inside))
}

/// Returns the files of this repository that a text links to.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let links = between(text, "](", ")").filter(|link| !link.starts_with("http") && !link.starts_with('#'));
    links.map(|link| link.split_once('#').map_or(link, |(file, _)| file))
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let pages = pages();
    let (_, contents) = pages.iter().find(|(name, _)| name == "SUMMARY.md").unwrap();
    let listed: BTreeSet<&str> = links(contents).collect();
    let written: BTreeSet<&str> =
        pages.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "SUMMARY.md").collect();
    assert!(written.len() > 10 && written == listed, "{written:?} {listed:?}");
}

#[test]
fn whatever_is_linked_or_included_exists() {
    let (mut seen, mut missing) = (0, Vec::new());
    for (name, text) in pages() {
        for link in links(&text) {
            seen += 1;
            if !pages_folder().join(link).exists() {
                missing.push(format!("{name} links {link}"));
            }
        }
        for include in between(&text, "{{#include ", "}}") {
            seen += 1;
            let (file, anchor) = include.split_once(':').unwrap_or((include, ""));
            let included = fs::read_to_string(pages_folder().join(file)).unwrap_or_default();
            let marks = [format!("ANCHOR: {anchor} -->"), format!("ANCHOR_END: {anchor} -->")];
            let is_there = anchor.is_empty() || marks.iter().all(|mark| included.contains(mark.as_str()));
            if included.is_empty() || !is_there {
                missing.push(format!("{name} includes {include}"));
            }
        }
    }
    assert!(seen > 30, "only {seen} links and includes were found");
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_alert_is_explained() {
    let rules = fs::read_to_string(in_repository("contrib/prometheus/postrider.rules.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let (_, page) = pages().into_iter().find(|(name, _)| name == "operating.md").unwrap();
    let explained: Vec<&str> = between(&page, "\n| `Postrider", "` |").collect();
    let explained: Vec<String> = explained.into_iter().map(|name| format!("Postrider{name}")).collect();
    assert!(alerts.len() > 10);
    assert_eq!(explained, alerts);
}

#[test]
#[ignore = "needs mdbook"]
fn the_book_builds_and_everything_is_filled_in() {
    let built = tempfile::tempdir().unwrap();
    let mut command = Command::new("mdbook");
    command.args(["build", "--dest-dir"]).arg(built.path()).arg(in_repository("docs/book"));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("ERROR") && !told.contains("WARN"), "{told}");
    let whole = fs::read_to_string(built.path().join("print.html")).unwrap();
    assert!(!whole.contains("{{#"));
    for part in ["retry_schedule", "fdatasync", "Webhook::new(secret)", "is_genuine", "X-Signature"] {
        assert!(whole.contains(part), "no {part}");
    }
}
