//! Where the repository is: options first, then the environment, then the user's own folder.

use crate::args::Global;
use crate::environment::Environment;
use crate::lines;
use crate::secret;
use crate::show::Failure;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

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

/// Finds out where the repository is.
pub fn find(global: &Global, environment: &Environment) -> Result<Place, Failure> {
    let configured = |location: OsString| Ok(Place { location, own: None });
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
    match (environment.raw("STRONGROOM_REPOSITORY"), environment.path("STRONGROOM_REPOSITORY_FILE")) {
        (Some(_), Some(_)) => Err(Failure::usage("STRONGROOM_REPOSITORY and STRONGROOM_REPOSITORY_FILE are both set")),
        (Some(location), None) => configured(location),
        (None, Some(file)) => configured(read(&file)?),
        (None, None) => own(global, environment),
    }
}

/// The repository in the user's data folder: only where nothing at all is configured.
fn own(global: &Global, environment: &Environment) -> Result<Place, Failure> {
    let (Some(data), Some(config)) = (environment.data_folder(), environment.config_folder()) else {
        return Err(Failure::usage("no repository is configured, and there is no home folder to keep one in")
            .hint("say where it is with -r or STRONGROOM_REPOSITORY"));
    };
    let folder = data.join("strongroom").join("repository");
    let is_foreign = |name: &&str| environment.raw(name).is_some();
    if let Some(name) = OF_OTHERS.into_iter().find(is_foreign) {
        return Err(refused(format!("{name} is set, but not read by strongroom"), &folder));
    }
    if let Some(given) = secret::given(global, environment) {
        return Err(refused(format!("{given} is given, and no repository that it unlocks"), &folder));
    }
    let own = OwnPlace { folder: folder.clone(), key_file: config.join("strongroom").join("key") };
    let mut location = OsString::from("file:");
    location.push(folder);
    Ok(Place { location, own: Some(own) })
}

/// Whoever has configured something means a repository of their choosing, and not the one that everybody has.
fn refused(what: String, own: &Path) -> Failure {
    Failure::usage(what)
        .because("the repository in your data folder is used only where nothing is configured")
        .hint(format!("say which one is meant with -r or STRONGROOM_REPOSITORY; yours would be {}", own.display()))
}

/// The first line of a file.
fn read(file: &Path) -> Result<OsString, Failure> {
    let raw = lines::read(file).map_err(|why| {
        Failure::usage(format!("cannot read the repository's location from {}", file.display())).because(why)
    })?;
    match lines::first(&raw) {
        line if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Failure::usage(format!("the first line of {} is no location", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn global(repo: Option<&str>) -> Global {
        Global { repo: repo.map(OsString::from), ..Global::default() }
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
            let failure = find(&global(None), &Environment::of(&[("HOME", "/home/ann"), (name, "x")]));
            let failure = failure.expect_err("configured");
            assert!(failure.exit.code() == 2 && failure.message.contains(name), "{failure:?}");
            assert!(failure.hint.is_some_and(|hint| hint.contains("/home/ann/.local/share/strongroom/repository")));
        }
        let home = Environment::of(&[("HOME", "/home/ann")]);
        let with = |change: fn(&mut Global)| {
            let mut global = Global::default();
            change(&mut global);
            find(&global, &home).expect_err("configured").message
        };
        assert!(with(|global| global.password_file = Some("p".into())).contains("--password-file"));
        assert!(with(|global| global.password_command = Some("p".into())).contains("--password-command"));
        assert!(with(|global| global.key_file = Some("k".into())).contains("--key-file"));
        assert!(with(|global| global.use_recovery_code = true).contains("--use-recovery-code"));
    }

    #[test]
    fn a_location_need_not_be_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, raw) = (folder.path().join("where"), OsStr::from_bytes(b"/srv/\xff"));
        std::fs::write(&file, b"/srv/\xff\n").expect("written");
        let options = Global { repository_file: Some(file), ..Global::default() };
        assert_eq!(find(&options, &Environment::default()).expect("found").location, raw);
        let options = Global { repo: Some(raw.to_owned()), ..Global::default() };
        assert_eq!(find(&options, &Environment::default()).expect("found").location, raw);
    }
}
