//! Where the password or key comes from: what was given, the environment, systemd, the user's own key, somebody who is asked.

use crate::ask::Ask;
use crate::ask::Question;
use crate::ask::Unanswered;
use crate::environment::Environment;
use crate::environment::SECRETS;
use crate::environment::VARIABLES;
use crate::error::Error;
use crate::given::Given;
use crate::given::Setting;
use crate::location::Place;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use strongroom::Key;
use strongroom::Secret;

/// The variable that is a password.
const PASSWORD: &str = "STRONGROOM_PASSWORD";
/// The variable that is a command which prints one.
const COMMAND: &str = "STRONGROOM_PASSWORD_COMMAND";

/// A place a key comes from, before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFrom {
    /// The password is in a file.
    PasswordFile(PathBuf),
    /// A command, for a shell, prints the password.
    PasswordCommand(Setting<String>),
    /// The password is in the environment, in the variable of this name.
    PasswordVariable(&'static str),
    /// A key file.
    KeyFile(PathBuf),
    /// The recovery code, from its variable or asked for.
    RecoveryCode,
    /// Somebody is asked for the password.
    Asked,
}

impl KeyFrom {
    /// The file it is in, if it is in one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::PasswordFile(file) | Self::KeyFile(file) => Some(file),
            _ => None,
        }
    }
}

/// Chooses where the key comes from; the first place that is configured wins.
pub(crate) fn choose(given: &Given, environment: &Environment, place: &Place) -> Result<KeyFrom, Error> {
    let names = given.unlocking();
    if names.len() > 1 {
        let all = names.join(" and ");
        return Err(Error::usage(format!("{all} say how to unlock the repository: give one of them, not several")));
    }
    let options = [
        given.password_file.clone().map(|file| KeyFrom::PasswordFile(file.value)),
        given.password_command.clone().map(KeyFrom::PasswordCommand),
        given.key_file.clone().map(|file| KeyFrom::KeyFile(file.value)),
        given.recovery_code.as_ref().map(|_| KeyFrom::RecoveryCode),
    ];
    let command = || environment.text(COMMAND).map(|command| KeyFrom::PasswordCommand(Setting::new(COMMAND, command)));
    let configured = options
        .into_iter()
        .flatten()
        .next()
        .or_else(|| environment.is_set(PASSWORD).then_some(KeyFrom::PasswordVariable(PASSWORD)))
        .or_else(|| environment.path("STRONGROOM_PASSWORD_FILE").map(KeyFrom::PasswordFile))
        .or_else(command)
        .or_else(|| environment.path("STRONGROOM_KEY_FILE").map(KeyFrom::KeyFile))
        .or_else(|| credentials(environment))
        .or_else(|| place.own.as_ref().map(|own| KeyFrom::KeyFile(own.key_file.clone())));
    Ok(configured.unwrap_or(KeyFrom::Asked))
}

/// What there is besides a repository that says how to unlock one: then one was meant.
pub(crate) fn given(given: &Given, environment: &Environment) -> Option<String> {
    let options = given.unlocking().into_iter();
    let unlocking =
        |name: &&str| !["STRONGROOM_REPOSITORY", "STRONGROOM_REPOSITORY_FILE", "STRONGROOM_HOST"].contains(name);
    let variables = VARIABLES
        .into_iter()
        .filter(unlocking)
        .filter(|name| environment.raw(name).is_some() || *name == PASSWORD && environment.is_set(name));
    let credential = credentials(environment);
    let credential = credential.as_ref().and_then(KeyFrom::file);
    let credential = credential.map(|file| format!("the credential {}", file.display()));
    options.chain(variables).next().map(str::to_owned).or(credential)
}

/// What systemd hands to a service with `LoadCredential=` or `SetCredentialEncrypted=`.
fn credentials(environment: &Environment) -> Option<KeyFrom> {
    let folder = environment.path("CREDENTIALS_DIRECTORY")?;
    let password = folder.join("strongroom.password");
    if password.exists() {
        return Some(KeyFrom::PasswordFile(password));
    }
    let key = folder.join("strongroom.key");
    key.exists().then_some(KeyFrom::KeyFile(key))
}

/// Reads the key of a repository that is there.
pub(crate) fn read(from: &KeyFrom, environment: &Environment, ask: &dyn Ask) -> Result<Key, Error> {
    match from {
        KeyFrom::PasswordFile(file) => Ok(Key::Passphrase(password(password_file("password", file)?)?)),
        KeyFrom::PasswordCommand(command) => Ok(Key::Passphrase(password(run(command)?)?)),
        KeyFrom::PasswordVariable(name) => {
            let raw = environment.raw(name).unwrap_or_default();
            Ok(Key::Passphrase(password(raw.into_encoded_bytes())?))
        }
        KeyFrom::KeyFile(file) => read_key_file(file),
        KeyFrom::RecoveryCode => recovery(environment, ask),
        KeyFrom::Asked => {
            let answer = answer(ask, Question::Password).map_err(|failure| foreign(environment, failure))?;
            Ok(Key::Passphrase(password(answer.into_bytes())?))
        }
    }
}

/// The same for one that is to be made: somebody is asked twice.
pub(crate) fn read_for_new(from: &KeyFrom, environment: &Environment, ask: &dyn Ask) -> Result<Key, Error> {
    match from {
        KeyFrom::RecoveryCode => Err(Error::usage("a recovery code cannot make a repository: it comes from one")),
        KeyFrom::Asked => Ok(Key::Passphrase(asked_twice(ask).map_err(|failure| foreign(environment, failure))?)),
        from => read(from, environment, ask),
    }
}

/// The key in a key file.
pub fn read_key_file(file: &Path) -> Result<Key, Error> {
    Ok(Key::KeyFile(Secret::new(read_file("key file", file)?)))
}

/// A new password: from a file, or asked for twice.
pub fn new_password(file: Option<&Path>, ask: &dyn Ask) -> Result<Secret, Error> {
    match file {
        Some(file) => password(password_file("new password", file)?),
        None => asked_twice(ask),
    }
}

/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A password file's bytes; a byte order mark belongs to the file, not to the password.
fn password_file(what: &str, file: &Path) -> Result<Vec<u8>, Error> {
    let mut raw = read_file(what, file)?;
    if raw.starts_with(BYTE_ORDER_MARK) {
        raw.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(raw)
}

/// One line end at the end belongs to the file, not to the password.
fn password(mut raw: Vec<u8>) -> Result<Secret, Error> {
    if raw.last() == Some(&b'\n') {
        raw.pop();
        if raw.last() == Some(&b'\r') {
            raw.pop();
        }
    }
    let has_nul = raw.contains(&0);
    let secret = Secret::new(raw);
    if has_nul {
        // Neither a prompt nor a variable could ever give such a password again.
        return Err(Error::failed("the password has a NUL byte in it")
            .hint("if it comes from a file, save it as UTF-8: UTF-16 has a NUL byte beside every letter"));
    }
    if secret.is_empty() {
        return Err(Error::failed("the password is empty").hint("an empty password protects nothing: choose one"));
    }
    Ok(secret)
}

fn read_file(what: &str, file: &Path) -> Result<Vec<u8>, Error> {
    let failed = || Error::failed(format!("cannot read the {what} from {}", file.display()));
    let read = std::fs::File::open(file).and_then(read_bounded);
    read.map_err(|why| failed().because(why).hint("check the path, and that the file may be read"))?.ok_or_else(|| {
        failed().because(format!("it is longer than {SECRET_KIB_MAX} KiB")).hint("check that it is the right file")
    })
}

/// Secrets are short; what gives bytes without end is none.
const SECRET_KIB_MAX: u64 = 64;

/// All that is to be read; `None` when that is too much for a secret.
fn read_bounded(from: impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let max = SECRET_KIB_MAX * 1024;
    let mut bytes = Vec::new();
    let read = from.take(max + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(read).is_ok_and(|read| read <= max).then_some(bytes))
}

/// The output of a shell command. It gets no standard input: that may be what is backed up.
fn run(command: &Setting<String>) -> Result<Vec<u8>, Error> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    // Its words may hold a secret, and errors go to logs and into mail.
    let failed =
        || Error::failed("the password command failed").because(format!("it is what {} says", command.said_by));
    let mut process = Command::new(shell);
    for name in SECRETS {
        process.env_remove(name);
    }
    process.args([flag, &command.value]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = process.spawn().map_err(|why| failed().because(why))?;
    // Its end of the pipe is closed once enough was read: a command that goes on writing ends by that.
    let read = child.stdout.take().map(read_bounded).transpose();
    let status = child.wait().map_err(|why| failed().because(why))?;
    match read.map_err(|why| failed().because(why))?.flatten() {
        None => Err(failed().because(format!("it printed more than {SECRET_KIB_MAX} KiB"))),
        Some(_) if !status.success() => Err(failed().because(status)),
        Some(bytes) => Ok(bytes),
    }
}

fn recovery(environment: &Environment, ask: &dyn Ask) -> Result<Key, Error> {
    let code = match environment.text("STRONGROOM_RECOVERY_CODE") {
        Some(code) => code,
        None => answer(ask, Question::RecoveryCode)?,
    };
    if code.trim().is_empty() {
        return Err(Error::failed("the recovery code is empty"));
    }
    Ok(Key::Recovery(Secret::new(code.trim().as_bytes())))
}

fn asked_twice(ask: &dyn Ask) -> Result<Secret, Error> {
    let first = answer(ask, Question::NewPassword)?;
    if first != answer(ask, Question::NewPasswordAgain)? {
        return Err(Error::failed("the two passwords are not the same"));
    }
    password(first.into_bytes())
}

fn answer(ask: &dyn Ask, question: Question) -> Result<String, Error> {
    ask.secret(question).map_err(|Unanswered { because, hint }| {
        let what = if question == Question::RecoveryCode { "recovery code" } else { "password" };
        let failed = Error::failed(format!("no {what} was given")).because(because);
        hint.into_iter().fold(failed, Error::hint)
    })
}

/// A password that was given to restic is not one for us: say so where none was given.
fn foreign(environment: &Environment, failure: Error) -> Error {
    let names = ["RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"];
    match names.into_iter().find(|name| environment.raw(name).is_some()).filter(|_| failure.advice().is_some()) {
        Some(name) => {
            let ours = name.replacen("RESTIC", "STRONGROOM", 1);
            failure.hint(format!("variables of restic are not read: set {ours}"))
        }
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Nobody;
    use crate::location::OwnPlace;

    fn place() -> Place {
        Place { location: "/r".into(), own: None }
    }

    /// Answers in their order.
    struct Answers(std::sync::Mutex<Vec<(Question, &'static str)>>);

    impl Ask for Answers {
        fn secret(&self, question: Question) -> Result<String, Unanswered> {
            let (expected, answer) = self.0.lock().expect("no panic").remove(0);
            assert_eq!(question, expected);
            Ok(answer.to_owned())
        }

        fn was_wrong(&self, why: &strongroom::Error) {
            panic!("{why}")
        }
    }

    fn answers(all: &[(Question, &'static str)]) -> Answers {
        Answers(std::sync::Mutex::new(all.to_vec()))
    }

    #[test]
    fn what_is_given_wins_over_the_environment_and_several_are_refused_by_name() {
        let environment = Environment::of(&[("STRONGROOM_PASSWORD", "x")]);
        let mut given = Given { key_file: Some(Setting::new("--key-file", "/k".into())), ..Given::default() };
        assert_eq!(choose(&given, &environment, &place()).expect("one"), KeyFrom::KeyFile("/k".into()));
        given.recovery_code = Some(Setting::new("code", ()));
        match choose(&given, &environment, &place()) {
            Err(Error::Usage(refusal)) => assert!(refusal.message.contains("--key-file and code"), "{refusal:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn systemd_credentials_stand_before_the_users_own_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = Environment::of(&[("CREDENTIALS_DIRECTORY", folder.path().to_str().expect("UTF-8"))]);
        let own = OwnPlace { folder: "/r".into(), key_file: "/own".into() };
        let place = Place { own: Some(own), ..place() };
        let choose = || choose(&Given::default(), &environment, &place).expect("one");
        assert_eq!(choose(), KeyFrom::KeyFile("/own".into()));
        let key = folder.path().join("strongroom.key");
        std::fs::write(&key, "k").expect("written");
        assert_eq!(choose(), KeyFrom::KeyFile(key));
        let password = folder.path().join("strongroom.password");
        std::fs::write(&password, "p").expect("written");
        assert_eq!(choose(), KeyFrom::PasswordFile(password));
    }

    #[test]
    fn an_empty_password_is_refused_wherever_it_comes_from() {
        let empty = Environment::of(&[("STRONGROOM_PASSWORD", "")]);
        let from = choose(&Given::default(), &empty, &place()).expect("it is set");
        assert!(matches!(read(&from, &empty, &Nobody), Err(Error::Failed(_))));
        assert!(read(&KeyFrom::Asked, &empty, &answers(&[(Question::Password, "")])).is_err());
        for raw in ["", "\n", "\r\n"] {
            assert!(password(raw.into()).is_err(), "{raw:?}");
        }
        assert!(password("\n\n".into()).is_ok());
    }

    #[test]
    fn a_new_password_is_asked_for_twice_and_nobody_knows_none() {
        let twice = |again| answers(&[(Question::NewPassword, "a"), (Question::NewPasswordAgain, again)]);
        assert!(new_password(None, &twice("a")).is_ok());
        assert!(new_password(None, &twice("b")).is_err());
        let environment = Environment::of(&[("RESTIC_PASSWORD", "x")]);
        let Err(unanswered) = read(&KeyFrom::Asked, &environment, &Nobody) else { panic!("an answer") };
        assert_eq!(unanswered.to_string(), "no password was given: there is nobody to ask");
    }

    #[cfg(unix)]
    #[test]
    fn a_password_command_must_succeed() {
        let said = |command: &str| Setting::new("the configuration", command.to_owned());
        assert_eq!(run(&said("printf secret")).ok(), Some(b"secret".to_vec()));
        let Err(failed) = run(&said("printf secret; exit 3")) else { panic!("it fails") };
        assert!(failed.to_string().contains("the configuration") && !failed.to_string().contains("printf"), "{failed}");
    }
}
