// SPDX-License-Identifier: Apache-2.0
//! Passwords: argon2id hashes in PHC's format, made and checked on threads of their own because that takes a while by
//! design. Nothing here prints a password or a hash.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

use crate::{CommandError, Manager, bootstrap};
use outgate_model::object::User;

/// The shortest password.
pub const SHORTEST: usize = 1;
/// The longest password, in bytes: longer ones would only cost time.
pub const LONGEST: usize = 1024;

/// Checked against for users that are not there or have no password, so that these take as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("no user has this password").unwrap_or_default());

fn hash_now(password: &str) -> Result<String, CommandError> {
    let salt: [u8; 16] = rand::random();
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|e| CommandError::Internal(format!("a password could not be hashed: {e}")))
}

fn verify_now(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// The hash of a new password. Takes some ten milliseconds of a thread that may block.
///
/// # Errors
/// When it is empty or too long.
pub async fn hash(password: &str) -> Result<String, CommandError> {
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        let expected = format!("{SHORTEST} to {LONGEST} bytes");
        return Err(CommandError::invalid("password", "(not shown)", expected));
    }
    let password = password.to_owned();
    tokio::task::spawn_blocking(move || hash_now(&password))
        .await
        .map_err(|e| CommandError::Internal(e.to_string()))?
}

impl Manager {
    /// Gives the administrator this password, if it has another one.
    ///
    /// # Errors
    /// When the password is empty or too long, or could not be stored.
    pub async fn set_admin_password(&self, password: &str) -> Result<(), CommandError> {
        let admin = bootstrap::administrator(&self.view());
        if self.verify_password(admin.as_deref(), password).await {
            return Ok(());
        }
        let hash = hash(password).await?;
        self.commit(|view, draft| {
            let admin = bootstrap::administrator(view);
            let admin =
                admin.ok_or_else(|| CommandError::Internal("there is no administrator".to_owned()))?;
            let password_hash = Some(hash.clone());
            draft.update(
                &admin,
                User {
                    password_hash,
                    ..User::clone(&admin)
                },
            );
            Ok(())
        })
        .await
    }

    /// Whether `password` is this user's. For `None`, and for a user without a password, it is false after as long.
    pub async fn verify_password(&self, user: Option<&User>, password: &str) -> bool {
        if password.len() > LONGEST {
            return false;
        }
        let stored = user.and_then(|user| user.password_hash.clone());
        let password = password.to_owned();
        let check = move || match stored {
            Some(hash) => verify_now(&hash, &password),
            None => {
                verify_now(&NOBODY, &password);
                false
            }
        };
        tokio::task::spawn_blocking(check).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a password could not be checked");
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_told_from_others_and_never_stored_as_it_is() {
        let first = hash("s3cret").await.unwrap();
        let second = hash("s3cret").await.unwrap();
        assert!(first.starts_with("$argon2id$") && !first.contains("s3cret") && first != second);
        assert!(verify_now(&first, "s3cret") && verify_now(&second, "s3cret"));
        assert!(!verify_now(&first, "S3cret") && !verify_now("", "s3cret"));
    }

    #[tokio::test]
    async fn an_empty_and_an_endless_password_are_refused_without_showing_it() {
        assert!(hash("").await.is_err());
        let text = hash(&"x".repeat(2000)).await.unwrap_err().to_string();
        assert!(!text.contains("xx"), "{text}");
    }
}
