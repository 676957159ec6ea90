//! `postrider catalog`: prints built-in event types as lines for the config file.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::console::Output;

/// Arguments of `catalog`.
#[derive(Debug, Args)]
pub struct Preset {
    /// The catalog to print
    catalog: Catalog,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Catalog {
    /// The event types of Blue's webhooks
    Blue,
}

impl Catalog {
    fn groups(self) -> &'static [Group] {
        match self {
            Self::Blue => &BLUE,
        }
    }
}

/// A group and its event types with their descriptions.
type Group = (&'static str, &'static [(&'static str, &'static str)]);

const BLUE: [Group; 6] = [
    (
        "Records",
        &[
            ("TODO_CREATED", "A record was created."),
            ("TODO_DELETED", "A record was deleted."),
            ("TODO_MOVED", "A record was moved to another list."),
            ("TODO_NAME_CHANGED", "A record got another name."),
            ("TODO_DONE_STATUS_UPDATED", "A record was marked as done, or as not done."),
            ("TODO_DUE_DATE_ADDED", "A record got a due date."),
            ("TODO_DUE_DATE_UPDATED", "The due date of a record was changed."),
            ("TODO_DUE_DATE_REMOVED", "A record has no due date any more."),
            ("TODO_ASSIGNEE_ADDED", "Somebody was assigned to a record."),
            ("TODO_ASSIGNEE_REMOVED", "Somebody is no longer assigned to a record."),
            ("TODO_TAG_ADDED", "A record was tagged."),
            ("TODO_TAG_REMOVED", "A tag was taken off a record."),
            ("TODO_CUSTOM_FIELD_UPDATED", "The value of a custom field of a record was changed."),
        ],
    ),
    (
        "Checklists",
        &[
            ("TODO_CHECKLIST_CREATED", "A checklist was added to a record."),
            ("TODO_CHECKLIST_NAME_CHANGED", "A checklist got another name."),
            ("TODO_CHECKLIST_DELETED", "A checklist was deleted."),
            ("TODO_CHECKLIST_ITEM_CREATED", "An item was added to a checklist."),
            ("TODO_CHECKLIST_ITEM_NAME_CHANGED", "An item of a checklist got another name."),
            ("TODO_CHECKLIST_ITEM_DELETED", "An item of a checklist was deleted."),
            ("TODO_CHECKLIST_ITEM_DUE_DATE_ADDED", "An item of a checklist got a due date."),
            ("TODO_CHECKLIST_ITEM_DUE_DATE_UPDATED", "The due date of a checklist's item was changed."),
            ("TODO_CHECKLIST_ITEM_DUE_DATE_REMOVED", "An item of a checklist has no due date any more."),
            ("TODO_CHECKLIST_ITEM_ASSIGNEE_ADDED", "Somebody was assigned to a checklist's item."),
            ("TODO_CHECKLIST_ITEM_ASSIGNEE_REMOVED", "Somebody is no longer assigned to a checklist's item."),
            (
                "TODO_CHECKLIST_ITEM_DONE_STATUS_UPDATED",
                "A checklist's item was marked as done, or as not done.",
            ),
        ],
    ),
    (
        "Lists",
        &[
            ("TODO_LIST_CREATED", "A list was created."),
            ("TODO_LIST_DELETED", "A list was deleted."),
            ("TODO_LIST_NAME_CHANGED", "A list got another name."),
        ],
    ),
    (
        "Custom fields",
        &[
            ("CUSTOM_FIELD_CREATED", "A custom field was added to a workspace."),
            ("CUSTOM_FIELD_DELETED", "A custom field was deleted."),
            ("CUSTOM_FIELD_UPDATED", "A custom field was changed: its name, kind or choices."),
        ],
    ),
    (
        "Tags",
        &[
            ("TAG_CREATED", "A tag was created."),
            ("TAG_DELETED", "A tag was deleted."),
            ("TAG_UPDATED", "A tag got another name or colour."),
        ],
    ),
    (
        "Comments",
        &[
            ("COMMENT_CREATED", "A comment was written."),
            ("COMMENT_DELETED", "A comment was deleted."),
            ("COMMENT_UPDATED", "A comment was edited."),
        ],
    ),
];

/// Prints the catalog as `[[event_types]]` to append to a config file, or as one line of JSON per type.
pub(super) fn run(args: &Preset, output: Output) -> anyhow::Result<()> {
    let types =
        args.catalog.groups().iter().flat_map(|(group, types)| types.iter().map(move |one| (group, one)));
    for (group, (name, description)) in types {
        let json = json!({ "name": name, "group": group, "description": description });
        let toml = format!(
            "[[event_types]]\nname = \"{name}\"\ngroup = \"{group}\"\ndescription = \"{description}\"\n"
        );
        output.print(&json, &toml)?;
    }
    Ok(())
}
