//! Sessions of people who logged in with a key. Sessions are in memory, bounded in number, and end with the
//! process.
//!
//! A session holds the digest of its key instead of the key. The configuration says at each request what the
//! key may do. If a key is removed from the configuration, its sessions end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, header};
use rand::RngExt as _;
use ring::digest::{SHA256, digest};
use rustc_hash::FxHashMap;

use crate::model::time::{Clock, Timestamp};

/// The maximum number of sessions. The one that was unused for longest is removed for a new one.
const SESSIONS_MAX: usize = 1000;
/// The time that a session stays valid without a request.
const IDLE_MAX: Duration = Duration::from_hours(12);
/// The maximum age of a session.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);

const COOKIE: &str = "postrider_session";

/// The digest of a key or of a cookie.
pub(super) type Digest = [u8; 32];

struct Session {
    key: Digest,
    created_at: Timestamp,
    used_at: Timestamp,
}

/// All sessions, by the digest of their cookie. With a digest as the key, the time of a look-up reveals
/// nothing about a cookie.
pub(super) struct Sessions {
    clock: Clock,
    sessions: Mutex<FxHashMap<Digest, Session>>,
}

fn digest_of(text: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

impl Sessions {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, sessions: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Digest, Session>> {
        // A panic while the lock was held leaves the map consistent.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a session for a key and returns the value of its cookie.
    pub(super) fn begin(&self, key: Digest) -> String {
        let cookie = hex::encode(rand::rng().random::<[u8; 32]>());
        let now = self.clock.now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(id, _)| *id);
            oldest.map(|id| sessions.remove(&id));
        }
        sessions.insert(digest_of(&cookie), Session { key, created_at: now, used_at: now });
        cookie
    }

    /// Returns the key of a valid session and marks the session as used.
    pub(super) fn get(&self, cookie: &str) -> Option<Digest> {
        let now = self.clock.now();
        let mut sessions = self.lock();
        let session = sessions.get_mut(&digest_of(cookie)).filter(|session| session.is_alive(now))?;
        session.used_at = now;
        Some(session.key)
    }

    /// Ends a session.
    pub(super) fn end(&self, cookie: &str) {
        self.lock().remove(&digest_of(cookie));
    }
}

impl Session {
    fn is_alive(&self, now: Timestamp) -> bool {
        now.since(self.used_at) < IDLE_MAX && now.since(self.created_at) < AGE_MAX
    }
}

/// Returns the value of the session cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Returns the `Set-Cookie` header that sets or, without a value, removes the session cookie.
pub(super) fn set_cookie(value: Option<&str>, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    let (value, age) = value.map_or(("", 0), |value| (value, AGE_MAX.as_secs()));
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sessions_end_by_age_idleness_and_logout() {
        let sessions = Sessions::new(Clock::starting_at(Timestamp::from_millis(0)));
        let (used, unused, ended) =
            (sessions.begin([1; 32]), sessions.begin([2; 32]), sessions.begin([3; 32]));
        sessions.end(&ended);
        assert_eq!(sessions.get(&ended), None);
        assert_eq!(sessions.get(&unused), Some([2; 32]));
        for _ in 0..16 {
            tokio::time::advance(Duration::from_hours(10)).await;
            assert_eq!(sessions.get(&used), Some([1; 32]));
        }
        assert_eq!(sessions.get(&unused), None);
        tokio::time::advance(Duration::from_hours(10)).await;
        assert_eq!(sessions.get(&used), None, "a week has passed");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_stay_within_their_maximum() {
        let sessions = Sessions::new(Clock::starting_at(Timestamp::from_millis(0)));
        let first = sessions.begin([1; 32]);
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..SESSIONS_MAX {
            sessions.begin([2; 32]);
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert_eq!(sessions.get(&first), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; postrider_session=ff00; c=d".parse().unwrap());
        assert_eq!(cookie(&headers).as_deref(), Some("ff00"));
        assert!(set_cookie(Some("ff00"), false).contains("HttpOnly; SameSite=Strict"));
        assert!(set_cookie(None, true).ends_with("Max-Age=0; Secure"));
    }
}
