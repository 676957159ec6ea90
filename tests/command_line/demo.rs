//! The demo as a user runs it: the built executable, its report, its exit code and its duration.

use std::process::{Command, Output};

use tokio::time::{Duration, Instant};

/// The longest duration that the documentation promises.
const LONGEST: Duration = Duration::from_secs(30);

fn demo(arguments: &[&str]) -> (Output, Duration) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    let output = command.arg("demo").args(arguments).output().expect("the executable runs");
    (output, begun.elapsed())
}

/// Returns the number before ` {what}` in the line.
fn number(line: &str, what: &str) -> u64 {
    let (before, _) = line.split_once(&format!(" {what}")).unwrap_or_else(|| panic!("no '{what}' in {line}"));
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("'{digits}' before '{what}' in {line}"))
}

#[test]
fn the_demo_tells_its_story_and_comes_out_even() {
    let (output, took) = demo(&[]);
    let account = String::from_utf8(output.stdout).expect("the account is UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}\n{account}", output.status);
    assert!(took < LONGEST, "took {took:?}");
    assert_eq!(errors, "", "nothing but the account");

    let tally = account.lines().find(|line| line.contains("deliveries accepted")).expect("a tally");
    assert_eq!(number(tally, "deliveries accepted"), number(tally, "delivered"), "{tally}");
    assert!(number(tally, "events") > 37 && number(tally, "delivered") > 37, "{tally}");
    assert_eq!(number(tally, "lost"), 0, "{tally}");

    let attempts = |status: &str| {
        account.lines().filter(|line| line.contains(" of 5 ") && line.contains(status)).count()
    };
    assert!((5..=6).contains(&attempts(" 503")), "{account}");
    assert!(account.contains("chat is disabled (disabled_reason: exhausted)"), "{account}");
    assert!(account.contains("health check answered 200"), "{account}");
    assert!(!account.contains('\u{1b}'), "colour where no terminal shows it");
    let widest = account.lines().max_by_key(|line| line.chars().count()).expect("lines");
    assert!(widest.chars().count() <= 110, "{widest}");
}

#[test]
fn as_json_it_prints_the_tally_alone() {
    let (output, _) = demo(&["--json"]);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    let tally: serde_json::Value = serde_json::from_str(&text).expect("one JSON value");
    assert_eq!(tally["wanted"], tally["delivered"], "{tally}");
    assert!(tally["delivered"].as_u64().is_some_and(|delivered| delivered > 37), "{tally}");
    assert_eq!((tally["lost"].as_u64(), tally["unwanted"].as_u64()), (Some(0), Some(0)), "{tally}");
}
