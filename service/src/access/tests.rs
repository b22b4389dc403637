//! Repositories made and opened as a daemon does it.

use super::*;
use crate::ask::Nobody;
use crate::ask::Question;
use crate::ask::Unanswered;
use crate::given::Setting;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use strongroom::CreateOptions;
use strongroom::KdfChoice;

fn access(repository: &Path, change: impl FnOnce(&mut Given)) -> Access {
    let location = Setting::new("the configuration", repository.into());
    let mut given = Given { repository: Some(location), ..Given::default() };
    change(&mut given);
    Access::new(given, Environment::default())
}

/// Makes the repository that is meant.
async fn make(access: &Access, ask: &dyn Ask) -> NewKey {
    let place = access.place().expect("a place");
    let backend = place.backend().expect("a backend");
    let made = access.key_for_new(&place, backend.as_ref(), ask).await.expect("a key");
    let mut options = CreateOptions::default();
    options.kdf = KdfChoice::Minimal;
    Repository::create(backend, made.key.copied(), options).await.expect("a repository");
    made
}

/// Gives one answer after the other, and counts those that were wrong.
struct Typing(Mutex<Vec<&'static str>>, AtomicUsize);

impl Ask for Typing {
    fn secret(&self, _: Question) -> Result<String, Unanswered> {
        Ok(self.0.lock().expect("no panic").remove(0).to_owned())
    }

    fn was_wrong(&self, why: &strongroom::Error) {
        assert_eq!(why.kind(), Kind::WrongKey);
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn typing(answers: &[&'static str]) -> Typing {
    Typing(Mutex::new(answers.to_vec()), AtomicUsize::new(0))
}

#[tokio::test]
async fn a_repository_is_made_and_opened_again_with_a_key_file_that_was_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    let access = access(&folder.path().join("r"), |given| given.key_file = Some(Setting::new("key", file.clone())));
    let made = make(&access, &Nobody).await;
    assert!(made.is_made && made.file == Some(file.clone()));
    let opened = access.open(&Nobody).await.expect("opened");
    assert!(matches!(opened.key, Key::KeyFile(_)));
    assert_eq!(access.files().expect("named"), [file]);
    let place = access.place().expect("a place");
    let backend = place.backend().expect("a backend");
    assert!(!access.key_for_new(&place, backend.as_ref(), &Nobody).await.expect("a key").is_made);
}

#[tokio::test]
async fn somebody_may_mistype_a_password_twice_and_a_file_is_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let access = access(&folder.path().join("r"), |_| {});
    make(&access, &typing(&["open", "open"])).await;
    let ask = typing(&["wrong", "wrong", "open"]);
    assert!(access.open(&ask).await.is_ok());
    assert_eq!(ask.1.load(Ordering::Relaxed), 2);
    let ask = typing(&["wrong", "wrong", "wrong", "open"]);
    let Err(Error::Engine(error, _)) = access.open(&ask).await else { panic!("opened") };
    assert_eq!((error.kind(), ask.1.load(Ordering::Relaxed)), (Kind::WrongKey, 2));
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").expect("written");
    let mut by_file = access.clone();
    by_file.given.password_file = Some(Setting::new("password", file));
    assert!(matches!(by_file.open(&Nobody).await, Err(Error::Engine(error, _)) if error.kind() == Kind::WrongKey));
}

#[tokio::test]
async fn nobody_is_asked_for_the_password_of_what_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = access(&folder.path().join("none"), |_| {}).open(&typing(&[])).await;
    assert!(matches!(missing, Err(Error::Engine(error, None)) if error.kind() == Kind::NoRepository));
    let file = folder.path().join("file");
    std::fs::write(&file, "/srv/backup\n").expect("written");
    let Err(refused) = access(&file, |_| {}).open(&typing(&[])).await else { panic!("opened") };
    assert!(refused.advice().is_some_and(|hint| hint.contains("--repository-file")), "{refused}");
}

#[tokio::test]
async fn the_users_own_repository_without_its_key_is_named_as_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().to_str().expect("UTF-8");
    let access = Access::new(Given::default(), Environment::of(&[("HOME", home)]));
    let Err(Error::Engine(error, hint)) = access.open(&Nobody).await else { panic!("opened") };
    assert_eq!((error.kind(), hint.as_deref()), (Kind::NoRepository, Some(NO_OWN_YET)));
    let made = make(&access, &Nobody).await;
    access.open(&Nobody).await.expect("opened");
    std::fs::remove_file(made.file.expect("a key file")).expect("removed");
    let Err(Error::Engine(error, hint)) = access.open(&Nobody).await else { panic!("opened") };
    assert!(error.kind() == Kind::WrongKey && hint.is_some_and(|hint| hint.contains("--use-recovery-code")));
}

#[test]
fn what_is_printed_for_developers_has_no_secret_in_it() {
    let command = Setting::new("the configuration", "echo hunter2".to_owned());
    let given = Given { password_command: Some(command), ..Given::default() };
    let access = Access::new(given, Environment::of(&[("STRONGROOM_PASSWORD", "hunter2")]));
    let place = Place { location: "/r".into(), own: None };
    let text = format!("{access:?} {:?}", access.key_from(&place).expect("one"));
    assert!(text.contains("the configuration") && !text.contains("hunter2"), "{text}");
}
