//! What a command, a daemon and an embedder need beside the engine: where the repository is, what unlocks it, and where this
//! machine keeps what belongs to it.
//!
//! Everything begins with [`Access`]: what was [`Given`] (by options, or by a configuration), the [`Environment`], and one
//! order in which they count: what was given, then variables, then what systemd hands to a service, then the repository that
//! every user has. [`Access::place`] says where the repository is, [`Access::key_from`] what unlocks it, and
//! [`Access::open`] does both.
//!
//! There is no terminal here. Whoever has one answers through [`Ask`]; a daemon has [`Nobody`]. Messages name options,
//! variables or keys of a configuration as they were [`said`](Setting::said_by).
//!
//! ```no_run
//! # async fn example() -> Result<(), strongroom_service::Error> {
//! use strongroom_service::{Access, Environment, Given, Nobody, Setting};
//!
//! let mut given = Given::default();
//! given.repository = Some(Setting::new("repository.offsite.location", "/srv/backup".into()));
//! given.password_file = Some(Setting::new("repository.offsite.password", "/run/secrets/backup".into()));
//! let opened = Access::new(given, Environment::of_process()).open(&Nobody).await?;
//! println!("{}", opened.repository.describe());
//! # Ok(())
//! # }
//! ```

mod access;
mod ask;
mod environment;
mod error;
mod given;
mod key_file;
pub mod lines;
mod location;
mod secret;

pub use access::Access;
pub use access::NewKey;
pub use access::Opened;
pub use ask::Ask;
pub use ask::Nobody;
pub use ask::Question;
pub use ask::Unanswered;
pub use environment::Environment;
pub use environment::SECRETS;
pub use environment::VARIABLES;
pub use error::Error;
pub use error::Refusal;
pub use given::Given;
pub use given::Setting;
pub use key_file::create_key_file;
pub use key_file::create_key_file_with_folder;
pub use key_file::write_private;
pub use location::OwnPlace;
pub use location::Place;
pub use location::exists;
pub use secret::KeyFrom;
pub use secret::new_password;
pub use secret::read_key_file;
