//! Where the repository is: options first, then the environment, then the user's own folder.

use crate::environment::Environment;
use crate::error::Error;
use crate::given::Given;
use crate::lines;
use crate::secret;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::Location;
use strongroom::Name;

/// Where the repository is, and how that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As `strongroom::Location::parse_os` takes it.
    pub location: OsString,
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

/// Where other tools look for their repositories: whoever has set one of these means that one.
const OF_OTHERS: [&str; 8] = [
    "RESTIC_REPOSITORY",
    "RESTIC_REPOSITORY_FILE",
    "RUSTIC_REPOSITORY",
    "RUSTIC_REPO_FILE",
    "BORG_REPO",
    "KOPIA_CONFIG_PATH",
    "BUPSTASH_REPOSITORY",
    "VYKAR_REPOSITORY",
];

impl Place {
    /// The backend there.
    pub fn backend(&self) -> Result<Arc<dyn Backend>, Error> {
        // A location that cannot be used is a mistake of whoever gave it, whatever the reason.
        let location = Location::parse_os(&self.location).map_err(|error| {
            let first = std::error::Error::source(&error);
            let reasons = std::iter::successors(first, |why| why.source());
            reasons.fold(Error::usage(error.to_string()), |refused, why| refused.because(why))
        })?;
        Ok(location.open()?)
    }
}

/// Whether there is a repository; a place that does not exist yet has none.
pub async fn exists(backend: &dyn Backend) -> Result<bool, Error> {
    // A file in the place of a folder is no repository, and no damaged one either.
    if backend.recognise().await.is_err_and(|error| error.kind() == Kind::NoRepository) {
        return Ok(false);
    }
    match backend.stat(&Name::Config).await {
        Ok(Some(_)) => Ok(true),
        // Packs without a config are a repository that has lost it: opening it says so, and none is made over it.
        Ok(None) => Ok(backend.list(Area::Packs).await.is_ok_and(|packs| !packs.is_empty())),
        Err(error) if error.kind() == Kind::NoRepository => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Finds out where the repository is.
pub(crate) fn find(given: &Given, environment: &Environment) -> Result<Place, Error> {
    let configured = |location: OsString| Ok(Place { location, own: None });
    match (&given.repository, &given.repository_file) {
        (Some(one), Some(other)) => {
            return Err(Error::usage(format!(
                "{} and {} both say where the repository is",
                one.said_by, other.said_by
            )));
        }
        (Some(location), None) if location.value.is_empty() => {
            return Err(Error::usage(format!("the location given with {} is empty", location.said_by)));
        }
        (Some(location), None) => return configured(location.value.clone()),
        (None, Some(file)) => return configured(read(&file.value)?),
        (None, None) => {}
    }
    match (environment.raw("STRONGROOM_REPOSITORY"), environment.path("STRONGROOM_REPOSITORY_FILE")) {
        (Some(_), Some(_)) => Err(Error::usage("STRONGROOM_REPOSITORY and STRONGROOM_REPOSITORY_FILE are both set")),
        (Some(location), None) => configured(location),
        (None, Some(file)) => configured(read(&file)?),
        (None, None) => own(given, environment),
    }
}

/// The repository in the user's data folder: only where nothing at all is configured.
fn own(given: &Given, environment: &Environment) -> Result<Place, Error> {
    let (Some(data), Some(config)) = (environment.data_folder(), environment.config_folder()) else {
        return Err(Error::usage("no repository is configured, and there is no home folder to keep one in")
            .hint("say where it is with -r or STRONGROOM_REPOSITORY"));
    };
    let folder = data.join("strongroom").join("repository");
    let is_foreign = |name: &&str| environment.raw(name).is_some();
    if let Some(name) = OF_OTHERS.into_iter().find(is_foreign) {
        return Err(refused(format!("{name} is set, but not read by strongroom"), &folder));
    }
    if let Some(what) = secret::given(given, environment) {
        return Err(refused(format!("{what} is given, and no repository that it unlocks"), &folder));
    }
    let own = OwnPlace { folder: folder.clone(), key_file: config.join("strongroom").join("key") };
    let mut location = OsString::from("file:");
    location.push(folder);
    Ok(Place { location, own: Some(own) })
}

/// Whoever has configured something means a repository of their choosing, and not the one that everybody has.
fn refused(what: String, own: &Path) -> Error {
    Error::usage(what)
        .because("the repository in your data folder is used only where nothing is configured")
        .hint(format!("say which one is meant with -r or STRONGROOM_REPOSITORY; yours would be {}", own.display()))
}

/// The first line of a file.
fn read(file: &Path) -> Result<OsString, Error> {
    let raw = lines::read(file).map_err(|why| {
        Error::usage(format!("cannot read the repository's location from {}", file.display())).because(why)
    })?;
    match lines::first(&raw) {
        line if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Error::usage(format!("the first line of {} is no location", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;
    use crate::given::Setting;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn given(repository: Option<&str>) -> Given {
        Given { repository: repository.map(|at| Setting::new("--repo", at.into())), ..Given::default() }
    }

    fn usage(outcome: Result<Place, Error>) -> Refusal {
        match outcome {
            Err(Error::Usage(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_given_wins_over_the_environment() {
        let environment = Environment::of(&[("STRONGROOM_REPOSITORY", "/env")]);
        assert_eq!(find(&given(Some("/option")), &environment).expect("found").location, "/option");
        assert_eq!(find(&given(None), &environment).expect("found").location, "/env");
    }

    #[test]
    fn a_file_may_say_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("where");
        std::fs::write(&file, "  /from/file \nsecond line\n").expect("written");
        let given = Given { repository_file: Some(Setting::new("x", file.clone())), ..Given::default() };
        assert_eq!(find(&given, &Environment::default()).expect("found").location, "/from/file");
        std::fs::write(&file, "\n").expect("written");
        assert!(find(&given, &Environment::default()).is_err());
    }

    #[test]
    fn two_answers_are_none_and_both_are_named() {
        let both = Environment::of(&[("STRONGROOM_REPOSITORY", "/a"), ("STRONGROOM_REPOSITORY_FILE", "/b")]);
        usage(find(&given(None), &both));
        let file = Some(Setting::new("location-file", PathBuf::from("/b")));
        let refused = usage(find(&Given { repository_file: file, ..given(Some("/a")) }, &Environment::default()));
        assert_eq!(refused.message, "--repo and location-file both say where the repository is");
        assert_eq!(usage(find(&given(Some("")), &both)).message, "the location given with --repo is empty");
    }

    #[cfg(unix)]
    #[test]
    fn without_any_configuration_every_user_has_one() {
        let place = find(&given(None), &Environment::of(&[("HOME", "/home/ann")])).expect("found");
        let own = place.own.expect("the user's own");
        assert_eq!(own.folder, Path::new("/home/ann/.local/share/strongroom/repository"));
        assert_eq!(own.key_file, Path::new("/home/ann/.config/strongroom/key"));
        usage(find(&given(None), &Environment::default()));
    }

    #[test]
    fn whoever_has_configured_anything_does_not_mean_the_one_that_everybody_has() {
        let secrets = [
            "STRONGROOM_PASSWORD",
            "STRONGROOM_PASSWORD_FILE",
            "STRONGROOM_PASSWORD_COMMAND",
            "STRONGROOM_KEY_FILE",
            "STRONGROOM_RECOVERY_CODE",
        ];
        for name in secrets.into_iter().chain(OF_OTHERS) {
            let refused = usage(find(&given(None), &Environment::of(&[("HOME", "/home/ann"), (name, "x")])));
            assert!(refused.message.contains(name), "{refused:?}");
            assert!(refused.hint.is_some_and(|hint| hint.contains("/home/ann/.local/share/strongroom/repository")));
        }
        let home = Environment::of(&[("HOME", "/home/ann")]);
        let with = |change: fn(&mut Given)| {
            let mut given = Given::default();
            change(&mut given);
            usage(find(&given, &home)).message
        };
        assert!(with(|given| given.password_file = Some(Setting::new("one", "p".into()))).contains("one is given"));
        assert!(with(|given| given.password_command = Some(Setting::new("two", "p".into()))).contains("two is given"));
        assert!(with(|given| given.key_file = Some(Setting::new("three", "k".into()))).contains("three is given"));
        assert!(with(|given| given.recovery_code = Some(Setting::new("four", ()))).contains("four is given"));
    }

    #[test]
    fn a_location_need_not_be_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, raw) = (folder.path().join("where"), OsStr::from_bytes(b"/srv/\xff"));
        std::fs::write(&file, b"/srv/\xff\n").expect("written");
        let by_file = Given { repository_file: Some(Setting::new("x", file)), ..Given::default() };
        let itself = Given { repository: Some(Setting::new("x", raw.to_owned())), ..Given::default() };
        for given in [by_file, itself] {
            assert_eq!(find(&given, &Environment::default()).expect("found").location, raw);
        }
    }

    #[test]
    fn a_location_that_cannot_be_used_is_a_mistake_of_whoever_gave_it() {
        let place = Place { location: "unheard-of:x".into(), own: None };
        assert!(matches!(place.backend(), Err(Error::Usage(_))));
    }
}
