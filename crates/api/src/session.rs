// SPDX-License-Identifier: Apache-2.0
//! Sessions of those who logged in by password. A session is two random tokens: one in a cookie that scripts cannot
//! read, one that the client repeats in each call, so that another site's page cannot call in its name. The server
//! keeps digests only, in memory: a restart ends every session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use outgate_model::id::UserId;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

/// How long a session lives without a call.
pub const IDLE: Duration = Duration::from_mins(30);
/// Most sessions of one user; a further one ends the one that was used longest ago.
pub const PER_USER: usize = 50;
/// Most sessions in all; a further one ends the one that was used longest ago.
pub const IN_ALL: usize = 10_000;
/// The cookie's name.
pub const COOKIE: &str = "JSESSIONID";

/// Bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// A token has 256 random bits: what matters of the digest is only that nobody finds the token from it.
type Digest = [u8; 20];

/// A new session's tokens: all that its client ever gets.
pub struct Tokens {
    /// For the cookie.
    pub id: String,
    /// For the parameter `sessionkey`.
    pub key: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

#[derive(Debug)]
struct Session {
    user: UserId,
    key: Digest,
    used: Instant,
}

/// Every session.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<Digest, Session>>);

impl Sessions {
    /// Starts a session.
    pub fn open(&self, user: UserId, now: Instant) -> Tokens {
        let tokens = Tokens {
            id: token(),
            key: token(),
        };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_live(now));
        make_room(&mut sessions, |session| session.user == user, PER_USER);
        make_room(&mut sessions, |_| true, IN_ALL);
        let session = Session {
            user,
            key: digest(&tokens.key),
            used: now,
        };
        sessions.insert(digest(&tokens.id), session);
        tokens
    }

    /// Whose session it is, and one more call of it; `None` when either token is wrong or the session has ended.
    pub fn touch(&self, id: &str, key: &str, now: Instant) -> Option<UserId> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&digest(id))?;
        let right: bool = session.key.ct_eq(&digest(key)).into();
        if !right || !session.is_live(now) {
            return None;
        }
        session.used = now;
        Some(session.user)
    }

    /// Ends a session.
    pub fn close(&self, id: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&digest(id));
    }
}

impl Session {
    fn is_live(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE
    }
}

/// Ends the session that was used longest ago of those that `of` picks, if they are `most` or more.
fn make_room(sessions: &mut HashMap<Digest, Session>, of: impl Fn(&Session) -> bool, most: usize) {
    let picked = || sessions.iter().filter(|(_, session)| of(session));
    if picked().count() < most {
        return;
    }
    let oldest = picked()
        .min_by_key(|(_, session)| session.used)
        .map(|(id, _)| *id);
    if let Some(id) = oldest {
        sessions.remove(&id);
    }
}

fn token() -> String {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(token: &str) -> Digest {
    Sha1::digest(token.as_bytes()).into()
}

/// The `Set-Cookie` header of a session's start.
pub fn cookie(tokens: &Tokens) -> String {
    format!("{COOKIE}={}; Path=/client; HttpOnly; SameSite=Lax", tokens.id)
}

/// The `Set-Cookie` header of a session's end.
pub fn no_cookie() -> String {
    format!("{COOKIE}=; Path=/client; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The session's token in a `Cookie` header.
pub fn in_cookies(header: &str) -> Option<&str> {
    let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tokens_are_needed_and_each_is_new() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (user, other) = (UserId::new(), UserId::new());
        let (a, b) = (sessions.open(user, now), sessions.open(other, now));
        assert_eq!((a.id.len(), a.key.len()), (64, 64));
        assert!(a.id != a.key && a.id != b.id && a.key != b.key);
        assert_eq!(sessions.touch(&a.id, &a.key, now), Some(user));
        assert_eq!(sessions.touch(&b.id, &b.key, now), Some(other));
        for (id, key) in [
            (&a.id, &b.key),
            (&b.id, &a.key),
            (&a.key, &a.id),
            (&a.id, &String::new()),
        ] {
            assert_eq!(sessions.touch(id, key, now), None);
        }
        sessions.close(&a.id);
        assert_eq!(sessions.touch(&a.id, &a.key, now), None);
        assert_eq!(sessions.touch(&b.id, &b.key, now), Some(other));
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_lives_on_while_it_is_used() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let tokens = sessions.open(UserId::new(), start);
        let later = |minutes| start + Duration::from_mins(minutes);
        assert!(sessions.touch(&tokens.id, &tokens.key, later(29)).is_some());
        assert!(sessions.touch(&tokens.id, &tokens.key, later(58)).is_some());
        assert!(sessions.touch(&tokens.id, &tokens.key, later(88)).is_none());
    }

    #[test]
    fn a_user_who_logs_in_again_and_again_loses_the_oldest_session_only() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let (user, other) = (UserId::new(), UserId::new());
        let kept = sessions.open(other, start);
        let all: Vec<Tokens> = (0..=PER_USER as u64)
            .map(|i| sessions.open(user, start + Duration::from_secs(i)))
            .collect();
        let now = start + Duration::from_mins(5);
        let live = |t: &Tokens| sessions.touch(&t.id, &t.key, now).is_some();
        assert!(!live(&all[0]) && all[1..].iter().all(live) && live(&kept));
    }

    #[test]
    fn the_cookie_is_found_among_others_and_closed_to_scripts() {
        assert_eq!(in_cookies("a=b; JSESSIONID=x1; c=d"), Some("x1"));
        assert_eq!(in_cookies("a=JSESSIONID; XJSESSIONID=1"), None);
        let sessions = Sessions::default();
        let set = cookie(&sessions.open(UserId::new(), Instant::now()));
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    }
}
