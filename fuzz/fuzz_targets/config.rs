//! Fuzzes config files: every problem has a location, and a valid config reads back from its printed form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::config::Config;

fn parse(text: &str) -> Result<Config, postrider::config::ConfigErrors> {
    Config::parse(text, "fuzz.toml", std::iter::empty())
}

fuzz_target!(|text: &str| {
    // Keys that name files would read them.
    if text.contains("_file") {
        return;
    }
    match parse(text) {
        Ok(config) => {
            let shown = config.to_toml();
            // Secrets are not printed, so a config with secrets does not read back.
            if config.subscriptions.is_empty() && config.auth.keys.is_empty() {
                let again = parse(&shown).unwrap_or_else(|error| panic!("{error}\nin\n{shown}"));
                assert_eq!(again, config, "{shown}");
            }
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                let line = problem.source_name.strip_prefix("fuzz.toml");
                assert!(line.is_some(), "{problem} has no location in the file");
                assert!(!problem.detail.is_empty(), "{problem:?}");
                let line = line.and_then(|line| line.strip_prefix(':')).map(|line| line.parse::<usize>());
                let lines = text.split('\n').count();
                assert!(
                    line.is_none_or(|line| line.is_ok_and(|line| (1..=lines).contains(&line))),
                    "{problem}"
                );
            }
            assert_eq!(parse(text), Err(errors));
        }
    }
});
