//! What the options say of a repository and its key, and the terminal that is asked for the rest.

use crate::args::FromArgs;
use crate::args::Global;
use crate::show::Show;
use std::io::IsTerminal;
use strongroom_service::Ask;
use strongroom_service::Given;
use strongroom_service::Question;
use strongroom_service::Setting;
use strongroom_service::Unanswered;

/// What the options say.
pub fn given(global: &Global) -> Given {
    let mut given = Given::default();
    given.repository = setting("--repo", &global.repo);
    given.repository_file = setting("--repository-file", &global.repository_file);
    given.password_file = setting("--password-file", &global.password_file);
    given.password_command = setting("--password-command", &global.password_command);
    given.key_file = setting("--key-file", &global.key_file);
    given.recovery_code = global.use_recovery_code.then(|| Setting::new("--use-recovery-code", ()));
    given
}

/// What they say of the other repository. Without an option of its own it is unlocked as the first one is.
pub fn given_of_other(from: &FromArgs, first: &Given) -> Given {
    let mut given = first.clone();
    given.repository = Some(Setting::new("--from-repo", from.from_repo.clone()));
    given.repository_file = None;
    let has_own =
        from.from_password_file.is_some() || from.from_password_command.is_some() || from.from_key_file.is_some();
    if has_own {
        given.password_file = setting("--from-password-file", &from.from_password_file);
        given.password_command = setting("--from-password-command", &from.from_password_command);
        given.key_file = setting("--from-key-file", &from.from_key_file);
        given.recovery_code = None;
    }
    given
}

fn setting<T: Clone>(option: &str, value: &Option<T>) -> Option<Setting<T>> {
    value.as_ref().map(|value| Setting::new(option, value.clone()))
}

/// The terminal, if standard input is one.
pub struct Terminal<'a> {
    show: &'a Show,
    /// The other ways to give a password.
    instead: &'static str,
}

impl<'a> Terminal<'a> {
    /// For the password of a repository.
    pub fn new(show: &'a Show) -> Self {
        Self { show, instead: "use --password-file, --password-command, --key-file or STRONGROOM_PASSWORD" }
    }

    /// For another password, beside that which opens the repository.
    pub fn for_another(show: &'a Show) -> Self {
        Self { show, instead: "use --new-password-file" }
    }
}

impl Ask for Terminal<'_> {
    fn secret(&self, question: Question) -> Result<String, Unanswered> {
        let (text, instead) = match question {
            Question::RecoveryCode => ("recovery code: ", "set STRONGROOM_RECOVERY_CODE"),
            Question::NewPassword => ("new password: ", self.instead),
            Question::NewPasswordAgain => ("the same again: ", self.instead),
            _ => ("password: ", self.instead),
        };
        if !std::io::stdin().is_terminal() {
            return Err(Unanswered::because("there is no terminal to ask on").hint(instead));
        }
        // Without echo.
        rpassword::prompt_password(text).map_err(|why| Unanswered::because(why).hint(instead))
    }

    fn was_wrong(&self, why: &strongroom::Error) {
        self.show.warn(&format!("{why}: try again"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_repository_is_unlocked_by_its_own_options_or_as_the_first_one() {
        let global = Global { key_file: Some("/k".into()), repository_file: Some("/f".into()), ..Global::default() };
        let first = given(&global);
        let mut from = FromArgs {
            from_repo: "/other".into(),
            from_password_file: None,
            from_password_command: None,
            from_key_file: None,
        };
        let other = given_of_other(&from, &first);
        assert_eq!(other.repository, Some(Setting::new("--from-repo", "/other".into())));
        assert_eq!((other.repository_file, other.key_file), (None, first.key_file.clone()));
        from.from_password_command = Some("pass".into());
        let other = given_of_other(&from, &first);
        assert_eq!(other.password_command, Some(Setting::new("--from-password-command", "pass".into())));
        assert_eq!(other.key_file, None);
    }
}
