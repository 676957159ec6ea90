//! Mail: notices are sent to people.
//!
//! The queue is the log itself. The notices after a bookmark have yet to be mailed, oldest first. The
//! bookmark moves on when the server has taken the mails of a notice, or when they are given up. So a restart
//! loses no notice, and a crash repeats at most the last one, with the same `Message-ID`. At most one page of
//! notices is in memory.
//!
//! Nothing waits for mail: deliveries go on while the mail server is down. Notices older than
//! [`GIVE_UP_AFTER`] are skipped.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::config::Mail as MailConfig;
use crate::flow::inner::Flow;
use crate::model::email::EmailAddress;
use crate::model::event::Event;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::notice::{NoticeKind, PROJECT, is_daemon_event};
use crate::model::time::Timestamp;
use crate::net::mail::{Mail, MailError, send};
use crate::store::{EventQuery, Reader, StoreError};

/// The age from which on a notice is no longer mailed.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// The most notices in memory at once.
const PAGE: usize = 256;
/// The number of times that the server may defer one mail before it is given up.
const PUT_OFF_MAX: u32 = 5;
/// The waits between attempts. The last one repeats.
const WAITS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(5)];

impl Flow {
    /// Mails notices whenever there are new ones. Never returns.
    pub(in crate::flow) async fn run_mail(self) {
        loop {
            if let Err(error) = self.mail_pending().await {
                tracing::error!(%error, "failed to read the notices to mail");
            }
            self.mail_wake.notified().await;
        }
    }

    async fn mail_pending(&self) -> Result<(), StoreError> {
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

    /// Mails one notice to all its recipients.
    async fn mail(&self, event: &Event) {
        for to in self.recipients(event) {
            let mut put_off = 0;
            for tried in 0_usize.. {
                let config = self.config.load_full();
                let Some(server) = &config.mail.smtp else { return };
                let error = match send(server, compose(&config.mail, event, &to)).await {
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
                    tracing::error!(event = %event.id, %to, %error, "gave up mailing a notice");
                    break;
                }
                tracing::warn!(event = %event.id, %to, %error, ?wait, "failed to mail a notice, trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Returns the recipients of the daemon's notices, and those of the subscription that the notice is
    /// about.
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

/// Returns the next notices after `reached`, oldest first. Skips those before `oldest`.
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

/// Returns a member that is a string.
fn text<'a>(data: &'a Value, name: &str) -> Option<&'a str> {
    data.get(name).and_then(Value::as_str)
}

fn compose<'a>(config: &'a MailConfig, event: &Event, to: &'a EmailAddress) -> Mail<'a> {
    let (kind, data) = (event.content.event_type.as_str(), data(event));
    let what = text(&data, "name").map_or_else(|| "storage".to_owned(), |name| format!("'{name}'"));
    let what: String = what.chars().filter(|character| !character.is_control()).collect();
    let happened = kind.rsplit('.').next().unwrap_or(kind);
    let members = data.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let lines: String = members
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}: {text}\n"),
            None => format!("{name}: {value}\n"),
        })
        .collect();
    let (at, id) = (event.occurred_at(), event.id);
    let body = format!("{}\n\n{lines}\nat: {at}\ntype: {kind}\nevent: {id}\n", explanation(kind));
    Mail {
        from: &config.from,
        to,
        id: format!("<{}.{}@postrider>", event.id, to.as_str().replace('@', ".at.")),
        date: event.occurred_at(),
        subject: format!("[Postrider] {what}: {happened}"),
        body,
    }
}

/// Returns what a notice means and what to do about it.
fn explanation(kind: &str) -> &'static str {
    match kind.parse() {
        Ok(NoticeKind::SubscriptionDisabled) => {
            "The subscription was disabled because its receiver did not accept a delivery. Its deliveries are held. Repair \
             the receiver, then enable the subscription: the deliveries are sent, oldest first."
        }
        Ok(NoticeKind::SubscriptionFailing) => {
            "The receiver has failed twice in a row. Its deliveries wait while one of them is retried."
        }
        Ok(NoticeKind::SubscriptionRecovered) => {
            "The receiver accepts deliveries again, and the waiting ones are being sent."
        }
        Ok(NoticeKind::StorageLow) => {
            "The disk with the log is nearly full. Events are refused once the free space is below storage.disk_reserve. \
             Free some space, or shorten retention.events."
        }
        Ok(NoticeKind::StorageRecovered) => "The disk with the log has enough free space again.",
        Err(_) => "Postrider reports an event.",
    }
}
