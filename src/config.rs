//! The typed form of `config.toml`.
//!
//! This module owns the names of the keys, their allowed values and the errors about them. It never reads the environment
//! itself: the caller passes the variables to [`Config::load`]. Every value of a [`Config`] is parsed and in range.

mod error;
mod layers;
mod read;
mod section;
mod settings;
mod show;
mod subscriptions;

use std::io::ErrorKind;
use std::path::Path;

pub use error::{ConfigError, ConfigErrors};
pub use settings::{
    Api, Auth, Config, ConfigSubscription, Delivery, EventTypeEntry, Events, Health, Key, Listen, Log,
    LogFormat, Mail, Otlp, ProjectEntry, Retention, Role, Server, Storage, TlsFiles,
};
pub use show::subscription_toml;

/// The config file in the working directory that is read when no other is named.
pub const FILE: &str = "config.toml";

impl Config {
    /// Reads the config file and applies the environment variables that override it. Without a file, it reads [`FILE`] in
    /// the working directory if that exists. `env` may contain unrelated variables; `secret_env` refers to them.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let path = file.unwrap_or(Path::new(FILE));
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &name, env),
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => {
                Self::parse("", &name, env)
            }
            Err(error) => Err(ConfigErrors::whole(name, format!("cannot be read: {error}"))),
        }
    }

    /// Reads the text of a config file. `name` is the path of the file: errors name it, and paths such as `secret_file` are
    /// relative to its directory.
    ///
    /// # Errors
    /// Every problem of the configuration.
    pub fn parse(
        text: &str,
        name: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let env = env.into_iter().collect();
        let directory = Path::new(name).parent().unwrap_or(Path::new(""));
        let layers = layers::Layers::new(text, name, &env)?;
        read::config(&layers, &subscriptions::Secrets { env: &env, directory })
    }

    /// Reads only `[server]`, which clients of the daemon need, and ignores errors in other sections.
    ///
    /// # Errors
    /// Every problem of `[server]`.
    pub fn load_server(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Server, ConfigErrors> {
        let path = file.unwrap_or(Path::new(FILE));
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigErrors::whole(name, format!("cannot be read: {error}"))),
        };
        read::server_of(&layers::Layers::new(&text, &name, &env.into_iter().collect())?)
    }
}

/// Returns the built-in defaults: the settings without a file and without variables.
impl Default for Config {
    #[expect(clippy::expect_used, reason = "the defaults are part of the program, and a test parses them")]
    fn default() -> Self {
        Self::parse("", FILE, []).expect("the built-in defaults are valid")
    }
}

#[cfg(test)]
mod tests;
