//! Mail by SMTP: one message to one address at a time, over a connection of its own.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{Address, AsyncTransport as _, Tokio1Executor};
use url::Url;

use crate::model::email::EmailAddress;
use crate::model::time::Timestamp;

/// How long the server may take for each command.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);
/// How long all of it may take.
const WITHIN: Duration = Duration::from_mins(1);

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail<'a> {
    /// From whom.
    pub from: &'a EmailAddress,
    /// To whom.
    pub to: &'a EmailAddress,
    /// What names it for ever: the same message sent again has the same.
    pub id: String,
    /// When it was written.
    pub date: Timestamp,
    /// What it is about, in a line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server will never take it, or it cannot be written.
    #[error("the mail cannot be sent: {0}")]
    Refused(String),
    /// The server did not want it now.
    #[error("the mail server asks to come again: {0}")]
    Later(String),
    /// No server was spoken to: it, the network or its certificate is at fault.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
}

/// Sends a message by way of the server of the URL; see `mail.smtp` in `config.toml`.
///
/// Cancel safe in this sense: a message whose sending is dropped may have been sent.
///
/// # Errors
/// When it is not known that the server has taken it.
pub async fn send(server: &Url, mail: Mail<'_>) -> Result<(), MailError> {
    let message = message(mail)?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(server.as_str())
        .map_err(|error| MailError::Unreachable(error.to_string()))?
        .timeout(Some(COMMAND_WITHIN))
        .build();
    match tokio::time::timeout(WITHIN, transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let text = error.to_string();
            Err(match (error.is_permanent(), error.is_transient()) {
                (true, _) => MailError::Refused(text),
                (_, true) => MailError::Later(text),
                _ => MailError::Unreachable(text),
            })
        }
        Err(_) => Err(MailError::Unreachable(format!("it took longer than {WITHIN:?}"))),
    }
}

fn message(mail: Mail<'_>) -> Result<Message, MailError> {
    let refused = |error: lettre::error::Error| MailError::Refused(error.to_string());
    let date = std::time::UNIX_EPOCH + Duration::from_millis(mail.date.as_millis());
    Message::builder()
        .from(mailbox(mail.from, Some("Postrider".to_owned()))?)
        .to(mailbox(mail.to, None)?)
        .message_id(Some(mail.id))
        .date(date)
        .subject(mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body)
        .map_err(refused)
}

fn mailbox(address: &EmailAddress, name: Option<String>) -> Result<Mailbox, MailError> {
    let parsed: Result<Address, _> = address.as_str().parse();
    parsed
        .map(|address| Mailbox::new(name, address))
        .map_err(|error| MailError::Refused(format!("{address}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap()
    }

    #[test]
    fn every_address_of_ours_is_one_of_theirs() {
        let letters: Vec<String> = (33_u8..127)
            .map(|byte| format!("a{}b@c.example", char::from(byte)))
            .filter(|text| text.parse::<EmailAddress>().is_ok())
            .collect();
        assert!(letters.len() > 75, "{letters:?}");
        let others = ["a@localhost", "first.last@sub.acme-1.example", &format!("{}@b", "a".repeat(64))]
            .map(str::to_owned);
        for text in letters.into_iter().chain(others) {
            mailbox(&address(&text), None).unwrap();
        }
    }

    #[test]
    fn a_message_has_what_it_is_given_and_no_header_more() {
        let (from, to) = (address("postrider@acme.example"), address("ops@acme.example"));
        let mail = Mail {
            from: &from,
            to: &to,
            id: "<evt_1@postrider>".to_owned(),
            date: Timestamp::from_millis(1_767_600_000_000),
            subject: "a 'name'\r\nBcc: x@y.example".to_owned(),
            body: "one\ntwo å\n".to_owned(),
        };
        let text = String::from_utf8(message(mail).unwrap().formatted()).unwrap();
        for line in
            ["Message-ID: <evt_1@postrider>", "Date: Mon, 05 Jan 2026 08:00:00 +0000", "To: ops@acme.example"]
        {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }
}
