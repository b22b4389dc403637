//! Where the repository is: options first, then the environment, then the user's own folder.

use crate::args::Global;
use crate::environment::Environment;
use crate::lines;
use crate::show::Failure;
use std::path::Path;
use std::path::PathBuf;

/// Where the repository is, and how that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As `strongroom::Location::parse` takes it.
    pub location: String,
    /// Set when nothing was configured: the repository every user has.
    pub own: Option<OwnPlace>,
}

/// The repository a user has without configuring one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPlace {
    /// The repository's folder.
    pub folder: PathBuf,
    /// The random key that unlocks it.
    pub key_file: PathBuf,
}

/// Finds out where the repository is.
pub fn find(global: &Global, environment: &Environment) -> Result<Place, Failure> {
    let configured = |location: String| Ok(Place { location, own: None });
    match (&global.repo, &global.repository_file) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--repo and --repository-file both say where the repository is"));
        }
        (Some(location), None) if location.is_empty() => {
            return Err(Failure::usage("the location given with -r is empty"));
        }
        (Some(location), None) => return configured(location.clone()),
        (None, Some(file)) => return configured(read(file)?),
        (None, None) => {}
    }
    match (environment.text("STRONGROOM_REPOSITORY"), environment.path("STRONGROOM_REPOSITORY_FILE")) {
        (Some(_), Some(_)) => Err(Failure::usage("STRONGROOM_REPOSITORY and STRONGROOM_REPOSITORY_FILE are both set")),
        (Some(location), None) => configured(location),
        (None, Some(file)) => configured(read(&file)?),
        (None, None) => own(environment),
    }
}

/// The repository in the user's data folder.
fn own(environment: &Environment) -> Result<Place, Failure> {
    let (Some(data), Some(config)) = (environment.data_folder(), environment.config_folder()) else {
        return Err(Failure::usage("no repository is configured, and there is no home folder to keep one in")
            .hint("say where it is with -r or STRONGROOM_REPOSITORY"));
    };
    let folder = data.join("strongroom").join("repository");
    let own = OwnPlace { folder: folder.clone(), key_file: config.join("strongroom").join("key") };
    match folder.into_os_string().into_string() {
        Ok(location) => Ok(Place { location: format!("file:{location}"), own: Some(own) }),
        Err(_) => {
            Err(Failure::usage("the data folder's path is not UTF-8").hint("say where the repository is with -r"))
        }
    }
}

/// The first line of a file.
fn read(file: &Path) -> Result<String, Failure> {
    let raw = lines::read(file).map_err(|why| {
        Failure::usage(format!("cannot read the repository's location from {}", file.display())).because(why)
    })?;
    match lines::first(&raw).to_str() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Failure::usage(format!("the first line of {} is no location", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(repo: Option<&str>) -> Global {
        Global { repo: repo.map(str::to_owned), ..Global::default() }
    }

    #[test]
    fn an_option_wins_over_the_environment() {
        let environment = Environment::of(&[("STRONGROOM_REPOSITORY", "/env")]);
        assert_eq!(find(&global(Some("/option")), &environment).expect("found").location, "/option");
        assert_eq!(find(&global(None), &environment).expect("found").location, "/env");
    }

    #[test]
    fn a_file_may_say_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("where");
        std::fs::write(&file, "  /from/file \nsecond line\n").expect("written");
        let options = Global { repository_file: Some(file.clone()), ..Global::default() };
        assert_eq!(find(&options, &Environment::default()).expect("found").location, "/from/file");
        std::fs::write(&file, "\n").expect("written");
        assert!(find(&options, &Environment::default()).is_err());
    }

    #[test]
    fn two_answers_are_none() {
        let both = Environment::of(&[("STRONGROOM_REPOSITORY", "/a"), ("STRONGROOM_REPOSITORY_FILE", "/b")]);
        assert_eq!(find(&global(None), &both).expect_err("ambiguous").exit.code(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn without_any_configuration_every_user_has_one() {
        let place = find(&global(None), &Environment::of(&[("HOME", "/home/ann")])).expect("found");
        let own = place.own.expect("the user's own");
        assert_eq!(own.folder, Path::new("/home/ann/.local/share/strongroom/repository"));
        assert_eq!(own.key_file, Path::new("/home/ann/.config/strongroom/key"));
        assert_eq!(find(&global(None), &Environment::default()).expect_err("no home").exit.code(), 2);
    }
}
