//! The sample events of two companies, and the receivers that each event must reach.
//!
//! The matching rules of the demo's config are written here a second time, so that the demo can check the daemon.

use serde_json::{Value, json};

/// The receivers, in the order of their columns.
pub(super) const RECEIVERS: [&str; 3] = ["crm", "warehouse", "chat"];

/// Every event type of Blue's webhooks.
pub(super) const TYPES: [&str; 37] = [
    "TODO_CREATED",
    "TODO_DELETED",
    "TODO_MOVED",
    "TODO_NAME_CHANGED",
    "TODO_DONE_STATUS_UPDATED",
    "TODO_DUE_DATE_ADDED",
    "TODO_DUE_DATE_UPDATED",
    "TODO_DUE_DATE_REMOVED",
    "TODO_ASSIGNEE_ADDED",
    "TODO_ASSIGNEE_REMOVED",
    "TODO_TAG_ADDED",
    "TODO_TAG_REMOVED",
    "TODO_CUSTOM_FIELD_UPDATED",
    "TODO_CHECKLIST_CREATED",
    "TODO_CHECKLIST_NAME_CHANGED",
    "TODO_CHECKLIST_DELETED",
    "TODO_CHECKLIST_ITEM_CREATED",
    "TODO_CHECKLIST_ITEM_NAME_CHANGED",
    "TODO_CHECKLIST_ITEM_DELETED",
    "TODO_CHECKLIST_ITEM_DUE_DATE_ADDED",
    "TODO_CHECKLIST_ITEM_DUE_DATE_UPDATED",
    "TODO_CHECKLIST_ITEM_DUE_DATE_REMOVED",
    "TODO_CHECKLIST_ITEM_ASSIGNEE_ADDED",
    "TODO_CHECKLIST_ITEM_ASSIGNEE_REMOVED",
    "TODO_CHECKLIST_ITEM_DONE_STATUS_UPDATED",
    "TODO_LIST_CREATED",
    "TODO_LIST_DELETED",
    "TODO_LIST_NAME_CHANGED",
    "CUSTOM_FIELD_CREATED",
    "CUSTOM_FIELD_DELETED",
    "CUSTOM_FIELD_UPDATED",
    "TAG_CREATED",
    "TAG_DELETED",
    "TAG_UPDATED",
    "COMMENT_CREATED",
    "COMMENT_DELETED",
    "COMMENT_UPDATED",
];

const PLACES: [(&str, &str); 6] = [
    ("acme", "website"),
    ("globex", "intranet"),
    ("acme", "mobile-app"),
    ("globex", "secret"),
    ("acme", "operations"),
    ("globex", "shop"),
];

const PEOPLE: [&str; 5] = ["Amara Okafor", "Jonas Weber", "Mei Tanaka", "Lucía Romero", "Ravi Menon"];
const TITLES: [&str; 7] = [
    "Replace the pricing page",
    "Renew the certificate of the shop",
    "Interview three customers",
    "Move the invoices to the archive",
    "Draft the release notes",
    "Check the forms on a small screen",
    "Order the new badges",
];
const COLORS: [&str; 3] = ["#2f80ed", "#27ae60", "#eb5757"];

/// A sample event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleEvent {
    number: usize,
    /// The event type.
    pub(super) event_type: &'static str,
    company: &'static str,
    project: &'static str,
}

/// Returns the sample event with this number. The types take turns, so that every type occurs in every project.
pub(super) fn event(number: usize) -> SampleEvent {
    let turn = |len: usize| number % len;
    let event_type = TYPES.get(turn(TYPES.len())).copied().unwrap_or_default();
    let (company, project) = PLACES.get(turn(PLACES.len())).copied().unwrap_or_default();
    SampleEvent { number, event_type, company, project }
}

impl SampleEvent {
    /// Returns the event with another type.
    pub(super) const fn of_type(self, event_type: &'static str) -> Self {
        Self { event_type, ..self }
    }

    /// Returns the company and the project, such as `acme/website`.
    pub(super) fn place(self) -> String {
        format!("{}/{}", self.company, self.project)
    }

    /// Returns the receivers that the event must reach, in the order of their columns.
    pub(super) fn wanted_by(self) -> Vec<&'static str> {
        RECEIVERS.into_iter().filter(|receiver| self.is_for(receiver)).collect()
    }

    /// Returns whether the event must reach the receiver.
    pub(super) fn is_for(self, receiver: &str) -> bool {
        match receiver {
            "crm" => {
                self.company == "acme"
                    && self.event_type.starts_with("TODO_")
                    && self.event_type != "TODO_DELETED"
            }
            "warehouse" => match self.company {
                "acme" => self.project == "website",
                _ => self.project != "secret",
            },
            _ => self.event_type.starts_with("COMMENT_") || self.event_type.starts_with("TODO_CHECKLIST_"),
        }
    }

    /// Returns the event as it is submitted.
    pub(super) fn to_json(self) -> Value {
        json!({
            "id": format!("demo-{:04}", self.number),
            "type": self.event_type,
            "company": self.company,
            "project": self.project,
            "data": self.data(),
        })
    }

    /// Returns the entity before and after the event, in the form of Blue's webhooks.
    fn data(self) -> Value {
        let (before, after) = (self.entity(self.number), self.entity(self.number + 1));
        if self.event_type.ends_with("_CREATED") {
            json!({ "previousValue": null, "currentValue": after })
        } else if self.event_type.ends_with("_DELETED") {
            json!({ "previousValue": before, "currentValue": null })
        } else {
            json!({ "previousValue": before, "currentValue": after })
        }
    }

    fn entity(self, version: usize) -> Value {
        let pick = |from: &[&'static str]| from.get(version % from.len().max(1)).copied().unwrap_or_default();
        let id = format!("{:06x}", 0x00a3_1f07 ^ (self.number * 7919));
        let (title, person) = (pick(&TITLES), pick(&PEOPLE));
        let is = |prefix| self.event_type.starts_with(prefix);
        if is("COMMENT_") {
            json!({ "id": id, "text": format!("{title}: done by Friday?"), "user": { "fullName": person } })
        } else if is("TAG_") || is("CUSTOM_FIELD_") || is("TODO_LIST_") {
            json!({ "id": id, "title": title, "color": pick(&COLORS), "position": version })
        } else if is("TODO_CHECKLIST_") {
            json!({ "id": id, "title": title, "done": version.is_multiple_of(2), "todo": { "id": "0a31f7" } })
        } else {
            json!({
                "id": id, "title": title, "done": version.is_multiple_of(2),
                "assignees": [{ "fullName": person }], "tags": [{ "title": "Q3", "color": pick(&COLORS) }],
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_type_occurs_in_every_project() {
        let first: BTreeSet<_> = (0..37).map(|number| event(number).event_type).collect();
        assert_eq!(first, TYPES.into_iter().collect());
        let all: BTreeSet<_> =
            (0..37 * 6).map(|number| (event(number).event_type, event(number).place())).collect();
        assert_eq!(all.len(), 37 * 6);
    }

    #[test]
    fn each_receiver_wants_some_and_not_others() {
        let table = [
            ("TODO_CREATED", 0, vec!["crm", "warehouse"]),
            ("TODO_DELETED", 0, vec!["warehouse"]),
            ("TODO_DELETED", 2, vec![]),
            ("COMMENT_CREATED", 3, vec!["chat"]),
            ("TODO_CHECKLIST_CREATED", 0, vec!["crm", "warehouse", "chat"]),
            ("TAG_CREATED", 5, vec!["warehouse"]),
        ];
        for (event_type, number, expected) in table {
            let event = event(number).of_type(event_type);
            assert_eq!(event.wanted_by(), expected, "{event:?}");
        }
    }

    #[test]
    fn what_is_created_was_not_and_what_is_deleted_is_not() {
        let data = |event_type| event(1).of_type(event_type).to_json()["data"].clone();
        assert!(
            data("TAG_CREATED")["previousValue"].is_null() && data("TAG_CREATED")["currentValue"].is_object()
        );
        assert!(
            data("TAG_DELETED")["currentValue"].is_null() && data("TAG_DELETED")["previousValue"].is_object()
        );
        let moved = data("TODO_MOVED");
        assert_ne!(moved["previousValue"], moved["currentValue"]);
        assert_eq!(moved["previousValue"]["id"], moved["currentValue"]["id"]);
    }
}
