//! Mail by SMTP: sends one message to one address, over its own connection.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{Address, AsyncTransport as _, Tokio1Executor};
use url::Url;

use crate::model::email::EmailAddress;
use crate::model::time::Timestamp;

/// The time limit for each command of the SMTP server.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit for sending a message.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail<'a> {
    /// The sender's address.
    pub from: &'a EmailAddress,
    /// The recipient's address.
    pub to: &'a EmailAddress,
    /// The value of `Message-ID`. Sending the same message again must use the same id.
    pub id: String,
    /// When the message was written.
    pub date: Timestamp,
    /// The subject line.
    pub subject: String,
    /// The body, as plain text.
    pub body: String,
}

/// A reason why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server rejected the message permanently, or the message is invalid.
    #[error("the mail cannot be sent: {0}")]
    Refused(String),
    /// The server rejected the message temporarily.
    #[error("the mail server rejected the mail for now: {0}")]
    Later(String),
    /// The server was not reached, because of the server, the network or a certificate.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
}

/// Sends a message through the SMTP server at `server`. See `mail.smtp` in `config.toml` for the form of the
/// URL.
///
/// If the future is dropped, the message may have been sent.
///
/// # Errors
/// Returns an error unless the server is known to have accepted the message.
pub async fn send(server: &Url, mail: Mail<'_>) -> Result<(), MailError> {
    let message = message(mail)?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(server.as_str())
        .map_err(|error| MailError::Unreachable(error.to_string()))?
        .timeout(Some(COMMAND_TIMEOUT))
        .build();
    match tokio::time::timeout(SEND_TIMEOUT, transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let text = error.to_string();
            Err(match (error.is_permanent(), error.is_transient()) {
                (true, _) => MailError::Refused(text),
                (_, true) => MailError::Later(text),
                _ => MailError::Unreachable(text),
            })
        }
        Err(_) => Err(MailError::Unreachable(format!("sending took longer than {SEND_TIMEOUT:?}"))),
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
    fn every_email_address_is_valid_for_the_mail_library() {
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
    fn message_has_the_given_headers_and_resists_header_injection() {
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
