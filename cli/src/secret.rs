//! Where the password or key comes from: options, environment, systemd, the user's own key, a prompt.

use crate::args::Global;
use crate::environment::Environment;
use crate::environment::SECRETS;
use crate::environment::VARIABLES;
use crate::location::Place;
use crate::show::Failure;
use std::io::IsTerminal;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use strongroom::Key;
use strongroom::Secret;

/// A place a key comes from, before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    PasswordFile(PathBuf),
    PasswordCommand(String),
    /// In the environment; the name of the variable.
    PasswordVariable(&'static str),
    KeyFile(PathBuf),
    Recovery,
    Prompt,
}

/// Chooses where the key comes from; the first place that is configured wins.
pub fn choose(global: &Global, environment: &Environment, place: &Place) -> Result<From, Failure> {
    let options = [
        global.password_file.clone().map(From::PasswordFile),
        global.password_command.clone().map(From::PasswordCommand),
        global.key_file.clone().map(From::KeyFile),
        global.use_recovery_code.then_some(From::Recovery),
    ];
    let mut given = options.into_iter().flatten();
    if let Some(first) = given.next() {
        return match given.next() {
            None => Ok(first),
            Some(_) => Err(Failure::usage(
                "give one of --password-file, --password-command, --key-file and --use-recovery-code, not several",
            )),
        };
    }
    let configured = environment
        .is_set("STRONGROOM_PASSWORD")
        .then_some(From::PasswordVariable("STRONGROOM_PASSWORD"))
        .or_else(|| environment.path("STRONGROOM_PASSWORD_FILE").map(From::PasswordFile))
        .or_else(|| environment.text("STRONGROOM_PASSWORD_COMMAND").map(From::PasswordCommand))
        .or_else(|| environment.path("STRONGROOM_KEY_FILE").map(From::KeyFile))
        .or_else(|| credentials(environment))
        .or_else(|| place.own.as_ref().map(|own| From::KeyFile(own.key_file.clone())));
    Ok(configured.unwrap_or(From::Prompt))
}

/// What there is besides a repository that says how to unlock one: then one was meant.
pub fn given(global: &Global, environment: &Environment) -> Option<String> {
    let options = [
        ("--password-file", global.password_file.is_some()),
        ("--password-command", global.password_command.is_some()),
        ("--key-file", global.key_file.is_some()),
        ("--use-recovery-code", global.use_recovery_code),
    ];
    let options = options.into_iter().filter_map(|(name, is_given)| is_given.then_some(name));
    let unlocking =
        |name: &&str| !["STRONGROOM_REPOSITORY", "STRONGROOM_REPOSITORY_FILE", "STRONGROOM_HOST"].contains(name);
    let variables = VARIABLES
        .into_iter()
        .filter(unlocking)
        .filter(|name| environment.raw(name).is_some() || *name == "STRONGROOM_PASSWORD" && environment.is_set(name));
    let credential = credentials(environment).and_then(|from| match from {
        From::PasswordFile(file) | From::KeyFile(file) => Some(format!("the credential {}", file.display())),
        _ => None,
    });
    options.chain(variables).next().map(str::to_owned).or(credential)
}

/// What systemd hands to a service with `LoadCredential=` or `SetCredentialEncrypted=`.
fn credentials(environment: &Environment) -> Option<From> {
    let folder = environment.path("CREDENTIALS_DIRECTORY")?;
    let password = folder.join("strongroom.password");
    if password.exists() {
        return Some(From::PasswordFile(password));
    }
    let key = folder.join("strongroom.key");
    key.exists().then_some(From::KeyFile(key))
}

/// Reads the key; `create` asks twice at a prompt.
pub fn read(from: &From, environment: &Environment, create: bool) -> Result<Key, Failure> {
    match from {
        From::PasswordFile(file) => Ok(Key::Passphrase(password(password_file("password", file)?)?)),
        From::PasswordCommand(command) => Ok(Key::Passphrase(password(run(command)?)?)),
        From::PasswordVariable(name) => {
            let raw = environment.raw(name).unwrap_or_default();
            Ok(Key::Passphrase(password(raw.into_encoded_bytes())?))
        }
        From::KeyFile(file) => Ok(Key::KeyFile(Secret::new(read_file("key file", file)?))),
        From::Recovery if create => Err(Failure::usage("a recovery code cannot make a repository: it comes from one")),
        From::Recovery => recovery(environment),
        From::Prompt => {
            Ok(Key::Passphrase(prompt(create, WITHOUT_TERMINAL).map_err(|failure| foreign(environment, failure))?))
        }
    }
}

/// A new password: from a file, or asked for twice.
pub fn new_password(file: Option<&Path>) -> Result<Secret, Failure> {
    match file {
        Some(file) => password(password_file("new password", file)?),
        None => prompt(true, "use --new-password-file"),
    }
}

/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A password file's bytes; a byte order mark belongs to the file, not to the password.
fn password_file(what: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    let mut raw = read_file(what, file)?;
    if raw.starts_with(BYTE_ORDER_MARK) {
        raw.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(raw)
}

/// One line end at the end belongs to the file, not to the password.
fn password(mut raw: Vec<u8>) -> Result<Secret, Failure> {
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
        return Err(Failure::failed("the password has a NUL byte in it")
            .hint("if it comes from a file, save it as UTF-8: UTF-16 has a NUL byte beside every letter"));
    }
    if secret.is_empty() {
        return Err(Failure::failed("the password is empty").hint("an empty password protects nothing: choose one"));
    }
    Ok(secret)
}

fn read_file(what: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = || Failure::failed(format!("cannot read the {what} from {}", file.display()));
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
fn run(command: &str) -> Result<Vec<u8>, Failure> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    // Its words may hold a secret, and errors go to logs and into mail.
    let failed = || {
        Failure::failed("the password command failed")
            .because("it is what --password-command or STRONGROOM_PASSWORD_COMMAND says")
    };
    let mut process = Command::new(shell);
    for name in SECRETS {
        process.env_remove(name);
    }
    process.args([flag, command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
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

fn recovery(environment: &Environment) -> Result<Key, Failure> {
    let code = match environment.text("STRONGROOM_RECOVERY_CODE") {
        Some(code) => code,
        None => ask("recovery code: ", "no recovery code was given", "set STRONGROOM_RECOVERY_CODE")?,
    };
    if code.trim().is_empty() {
        return Err(Failure::failed("the recovery code is empty"));
    }
    Ok(Key::Recovery(Secret::new(code.trim().as_bytes())))
}

/// The other ways to give a password, or a key in its place.
const WITHOUT_TERMINAL: &str = "use --password-file, --password-command, --key-file or STRONGROOM_PASSWORD";

fn prompt(twice: bool, hint: &str) -> Result<Secret, Failure> {
    let missing = "no password was given";
    let first = ask(if twice { "new password: " } else { "password: " }, missing, hint)?;
    if twice && first != ask("the same again: ", missing, hint)? {
        return Err(Failure::failed("the two passwords are not the same"));
    }
    password(first.into_bytes())
}

/// A password that was given to restic is not one for us: say so where none was given.
fn foreign(environment: &Environment, failure: Failure) -> Failure {
    let names = ["RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"];
    match names.into_iter().find(|name| environment.raw(name).is_some()).filter(|_| failure.hint.is_some()) {
        Some(name) => {
            let ours = name.replacen("RESTIC", "STRONGROOM", 1);
            failure.hint(format!("variables of restic are not read: set {ours}"))
        }
        None => failure,
    }
}

/// Asks on the terminal, without echo.
fn ask(question: &str, missing: &str, hint: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::failed(missing).because("there is no terminal to ask on").hint(hint));
    }
    rpassword::prompt_password(question).map_err(|why| Failure::failed(missing).because(why).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::OwnPlace;

    fn place() -> Place {
        Place { location: "/r".into(), own: None }
    }

    #[test]
    fn options_win_over_the_environment_and_several_are_refused() {
        let environment = Environment::of(&[("STRONGROOM_PASSWORD", "x")]);
        let mut global = Global { key_file: Some("/k".into()), ..Global::default() };
        assert_eq!(choose(&global, &environment, &place()).expect("one"), From::KeyFile("/k".into()));
        global.use_recovery_code = true;
        assert_eq!(choose(&global, &environment, &place()).expect_err("two").exit.code(), 2);
    }

    #[test]
    fn systemd_credentials_stand_before_the_users_own_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = Environment::of(&[("CREDENTIALS_DIRECTORY", folder.path().to_str().expect("UTF-8"))]);
        let own = OwnPlace { folder: "/r".into(), key_file: "/own".into() };
        let place = Place { own: Some(own), ..place() };
        let choose = || choose(&Global::default(), &environment, &place).expect("one");
        assert_eq!(choose(), From::KeyFile("/own".into()));
        let key = folder.path().join("strongroom.key");
        std::fs::write(&key, "k").expect("written");
        assert_eq!(choose(), From::KeyFile(key));
        let password = folder.path().join("strongroom.password");
        std::fs::write(&password, "p").expect("written");
        assert_eq!(choose(), From::PasswordFile(password));
    }

    #[test]
    fn an_empty_password_is_refused_wherever_it_comes_from() {
        let empty = Environment::of(&[("STRONGROOM_PASSWORD", "")]);
        let from = choose(&Global::default(), &empty, &place()).expect("it is set");
        assert_eq!(read(&from, &empty, false).err().map(|failure| failure.exit.code()), Some(1));
        for raw in ["", "\n", "\r\n"] {
            assert!(password(raw.into()).is_err(), "{raw:?}");
        }
        assert!(password("\n\n".into()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_password_command_must_succeed() {
        assert_eq!(run("printf secret").ok(), Some(b"secret".to_vec()));
        assert!(run("printf secret; exit 3").is_err());
    }
}
