//! Mail: notices, told to people.
//!
//! The queue is the log itself: what is to be mailed are the notices after a bookmark, oldest first, and the bookmark
//! moves on once a notice's mails are taken by the server, or given up on. So a restart forgets none, a crash may repeat
//! the last (with the same `Message-ID`), and nothing is held in memory but a page. Nothing waits for it: deliveries go
//! on while a mail server is out of order, and notices older than [`GIVE_UP_AFTER`] are passed over.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::config::Mail as MailConfig;
use crate::model::email::EmailAddress;
use crate::model::event::Event;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::notice::{NoticeKind, PROJECT, is_daemon_event};
use crate::model::time::Timestamp;
use crate::net::mail::{Mail, MailError, send};
use crate::store::{EventQuery, Reader, StoreError};

use crate::flow::inner::Flow;

/// After how long a notice is no news any more.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// How many notices are in hand at once.
const PAGE: usize = 256;
/// How often a server that answers may put off one mail.
const PUT_OFF_MAX: u32 = 5;
/// The waits between tries; the last one from then on.
const WAITS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(5)];

impl Flow {
    /// Mails notices, for ever.
    pub(in crate::flow) async fn run_mail(self) {
        loop {
            if let Err(error) = self.mail_what_waits().await {
                tracing::error!(%error, "failed to find out what is to be mailed");
            }
            self.mail_wake.notified().await;
        }
    }

    async fn mail_what_waits(&self) -> Result<(), StoreError> {
        let bookmark = self.bookmark.clone();
        let mut reached = self.read(move |_| bookmark.read()).await?;
        while self.config.load().mail.smtp.is_some() {
            let oldest = self.clock.now().before(GIVE_UP_AFTER);
            let page = self.read(move |reader| after(reader, reached, oldest)).await?;
            if page.is_empty() {
                return Ok(());
            }
            for event in page {
                self.mail(&event).await;
                let bookmark = self.bookmark.clone();
                self.read(move |_| bookmark.put(event.id)).await?;
                reached = Some(event.id);
            }
        }
        Ok(())
    }

    /// Mails one notice to everybody whom it concerns.
    async fn mail(&self, event: &Event) {
        for to in self.recipients(event) {
            let mut put_off = 0;
            for tried in 0_usize.. {
                let config = self.config.load_full();
                let Some(server) = &config.mail.smtp else { return };
                let error = match send(server, letter(&config.mail, event, &to)).await {
                    Ok(()) => {
                        tracing::info!(event = %event.id, kind = %event.content.event_type, %to, "mailed a notice");
                        break;
                    }
                    Err(error) => error,
                };
                put_off += u32::from(matches!(error, MailError::Later(_)));
                let wait = WAITS.get(tried).or(WAITS.last()).copied().unwrap_or_default();
                let is_late = self.clock.now().since(event.id.time()) + wait >= GIVE_UP_AFTER;
                if is_late || put_off >= PUT_OFF_MAX || matches!(error, MailError::Refused(_)) {
                    tracing::error!(event = %event.id, %to, %error, "a notice is not mailed");
                    break;
                }
                tracing::warn!(event = %event.id, %to, %error, ?wait, "failed to mail a notice, trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// The daemon's people, and those of the subscription that the notice is about.
    fn recipients(&self, event: &Event) -> Vec<EmailAddress> {
        let config = self.config.load();
        if !config.mail.about.contains(&event.content.event_type) {
            return Vec::new();
        }
        let mut to = config.mail.to.clone();
        let about = text(&data(event), "subscription").and_then(|id| id.parse::<SubscriptionId>().ok());
        let own = about.and_then(|id| self.lanes.get(id)?.lock().subscription.spec.notify_email.clone());
        to.extend(own.filter(|own| !config.mail.to.contains(own)));
        to
    }
}

/// The next notices after one of them, oldest first, and none from before that time.
fn after(reader: &Reader, reached: Option<EventId>, oldest: Timestamp) -> Result<Vec<Event>, StoreError> {
    let since = reached.map_or(oldest, |id| id.time().max(oldest));
    let project = PROJECT.parse().ok();
    let mut query = EventQuery { project, since: Some(since), limit: PAGE, ..EventQuery::default() };
    let mut found = VecDeque::new();
    loop {
        let page = reader.events(&query)?;
        for head in page.items {
            let is_notice = is_daemon_event(&head.content.event_type);
            if is_notice && head.content.company.is_none() && reached.is_none_or(|reached| head.id > reached)
            {
                found.push_front(head.id);
                found.truncate(PAGE);
            }
        }
        query.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    found.into_iter().filter_map(|id| reader.event(id).transpose()).collect()
}

fn data(event: &Event) -> Value {
    event.content.data.as_deref().and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default()
}

/// A member that is a text.
fn text<'a>(data: &'a Value, name: &str) -> Option<&'a str> {
    data.get(name).and_then(Value::as_str)
}

fn letter<'a>(config: &'a MailConfig, event: &Event, to: &'a EmailAddress) -> Mail<'a> {
    let (kind, data) = (event.content.event_type.as_str(), data(event));
    let what = text(&data, "name").map_or_else(|| "storage".to_owned(), |name| format!("'{name}'"));
    let what: String = what.chars().filter(|character| !character.is_control()).collect();
    let happened = kind.rsplit('.').next().unwrap_or(kind);
    let told = data.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let lines: String = told
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}: {text}\n"),
            None => format!("{name}: {value}\n"),
        })
        .collect();
    let (at, id) = (event.occurred_at(), event.id);
    let body = format!("{}\n\n{lines}\nat: {at}\ntype: {kind}\nevent: {id}\n", sentence(kind));
    Mail {
        from: &config.from,
        to,
        id: format!("<{}.{}@postrider>", event.id, to.as_str().replace('@', ".at.")),
        date: event.occurred_at(),
        subject: format!("[Postrider] {what}: {happened}"),
        body,
    }
}

/// What a notice means, and what is to be done.
fn sentence(kind: &str) -> &'static str {
    match kind.parse() {
        Ok(NoticeKind::SubscriptionDisabled) => {
            "The subscription was switched off, since its receiver did not take a delivery. Its deliveries are held: mend the \
             receiver and enable the subscription, and they go out, oldest first."
        }
        Ok(NoticeKind::SubscriptionFailing) => {
            "The receiver has failed twice in a row. Its deliveries wait while one of them asks it again."
        }
        Ok(NoticeKind::SubscriptionRecovered) => "The receiver answers again, and what waited goes out.",
        Ok(NoticeKind::StorageLow) => {
            "The disk with the log is nearly full. Below the reserve events are refused: make room, or shorten \
             retention.events."
        }
        Ok(NoticeKind::StorageRecovered) => "The disk with the log has room again.",
        Err(_) => "Postrider has something to tell.",
    }
}
