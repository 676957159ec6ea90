//! The typed mirror of `config.toml`.
//!
//! Owns what the keys are called, what they may hold and how problems with them are told. It never reads the
//! environment by itself: [`Config::load`] is handed the variables. From here on values are parsed: nothing
//! that a [`Config`] holds can be out of range.

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

/// The file that is read where no other is named, in the working directory.
pub const FILE: &str = "config.toml";

impl Config {
    /// Reads the file and lays the environment over it. Without a file named it is [`FILE`] of the working
    /// directory, if there is one. `env` may hold other variables too; `secret_env` finds its own there.
    ///
    /// # Errors
    /// All that is wrong.
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

    /// Reads a config file's text. `name` stands for the file in errors, and `secret_file` starts from its
    /// directory.
    ///
    /// # Errors
    /// All that is wrong.
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

    /// Where and how the daemon of this configuration serves, whatever the rest of it says: all that callers need.
    ///
    /// # Errors
    /// As [`load`](Self::load), of `[server]` alone.
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

/// The built-in defaults, as without a file and a variable.
impl Default for Config {
    #[expect(clippy::expect_used, reason = "the defaults are part of the program, and a test reads them")]
    fn default() -> Self {
        Self::parse("", FILE, []).expect("the built-in defaults are valid")
    }
}

#[cfg(test)]
mod tests;
