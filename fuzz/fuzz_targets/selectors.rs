//! Fuzzes selectors: terms format as they were parsed, and the selector and the matching index agree with a
//! direct reading of the API contract.
//!
//! The input consists of lines with a letter and a name. `e` and `p` are terms. `t`, `q` and `c` are the
//! event's type, project and company.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::input::SubscriptionInput;
use postrider::model::selector::{EventSelector, ProjectSelector};
use postrider::model::time::Timestamp;
use postrider::rules::matcher::{Candidate, Index, Matches, Presence};

fn lines<'a>(text: &'a str, letter: char) -> Vec<&'a str> {
    text.split('\n').filter_map(|line| line.strip_prefix(letter)).collect()
}

/// Returns whether the terms select a name, written directly after the API contract.
fn selects(terms: &[&str], means: impl Fn(&str) -> bool) -> bool {
    let (excludes, includes): (Vec<&str>, Vec<&str>) = terms.iter().partition(|term| term.starts_with('!'));
    (includes.is_empty() || includes.iter().any(|term| means(term)))
        && !excludes.iter().any(|term| means(&term[1..]))
}

fn wants_type(terms: &[&str], event_type: &str) -> bool {
    selects(terms, |term| match term.strip_suffix('*') {
        Some(prefix) => event_type.starts_with(prefix),
        None => event_type == term,
    })
}

fn wants_project(terms: &[&str], project: &str, company: Option<&str>) -> bool {
    selects(terms, |term| match term.split_once('/') {
        Some((of, "*")) => company == Some(of),
        Some((of, id)) => company == Some(of) && project == id,
        None => term == "*" || term == project,
    })
}

fn names_a_term(problems: &[postrider::model::problem::Problem], terms: &[&str]) {
    assert!(!problems.is_empty());
    for problem in problems {
        let index = problem.pointer.strip_prefix('/').map(str::parse::<usize>);
        assert!(
            index.map_or(problem.pointer.is_empty(), |index| index.is_ok_and(|index| index < terms.len())),
            "{problem:?}"
        );
    }
}

fuzz_target!(|text: &str| {
    let (event_terms, project_terms) = (lines(text, 'e'), lines(text, 'p'));
    let events =
        EventSelector::parse(&event_terms).inspect_err(|problems| names_a_term(problems, &event_terms));
    let projects =
        ProjectSelector::parse(&project_terms).inspect_err(|problems| names_a_term(problems, &project_terms));
    let (Ok(events), Ok(projects)) = (events, projects) else { return };
    assert_eq!(EventSelector::parse(&events.to_texts()), Ok(events.clone()));
    assert_eq!(ProjectSelector::parse(&projects.to_texts()), Ok(projects.clone()));
    assert_eq!(events.to_texts(), event_terms);
    assert_eq!(projects.to_texts(), project_terms);

    let members = serde_json::json!({"url": "http://8.8.8.8/"});
    let mut spec = SubscriptionInput::read(members.as_object().unwrap()).unwrap().spec;
    (spec.events, spec.projects) = (events, projects);
    let id = SubscriptionId::from_bits(7);
    let (index, _writer) = Index::build([(id, &spec, Presence::Active)]);
    let snapshot = index.snapshot();
    let companies = lines(text, 'c').into_iter().map(Some).chain([None]).collect::<Vec<_>>();
    for event_type in lines(text, 't') {
        for project in lines(text, 'q') {
            for company in &companies {
                let (Ok(of_type), Ok(of_project)) = (event_type.parse(), project.parse()) else { continue };
                let Ok(of_company) = company.map(str::parse).transpose() else { continue };
                let expected =
                    wants_type(&event_terms, event_type) && wants_project(&project_terms, project, *company);
                let content = EventContent {
                    event_type: of_type,
                    project: of_project,
                    company: of_company,
                    sender_id: None,
                    occurred_at: None,
                    data: None,
                    trace: None,
                };
                let plain = spec.events.contains(&content.event_type)
                    && spec.projects.contains(&content.project, content.company.as_ref());
                assert_eq!(plain, expected, "{content:?}");
                let mut matches = Matches::default();
                let candidate = Candidate { content: &content, arrived_at: Timestamp::from_millis(1) };
                let found = snapshot.match_into(&candidate, &mut matches).iter().count();
                assert_eq!(found == 1, expected, "{content:?}");
            }
        }
    }
});
