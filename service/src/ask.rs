//! Whom to ask for a secret: this crate has no terminal, and a daemon has nobody.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// The password of the repository.
    Password,
    /// A password that is to be used from now on.
    NewPassword,
    /// The same once more: it was typed blindly.
    NewPasswordAgain,
    /// The recovery code.
    RecoveryCode,
}

/// Why there is no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unanswered {
    /// What kept it from being asked or read.
    pub because: String,
    /// What helps.
    pub hint: Option<String>,
}

impl Unanswered {
    /// For this reason.
    pub fn because(why: impl std::fmt::Display) -> Self {
        Self { because: why.to_string(), hint: None }
    }

    /// The same with what helps.
    #[must_use]
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        self.hint = Some(advice.into());
        self
    }
}

/// Somebody who knows secrets. Both calls may block.
pub trait Ask: Send + Sync {
    /// The answer, which nobody else may see.
    fn secret(&self, question: Question) -> Result<String, Unanswered>;

    /// Tells that the last answer was not right; the question is asked again afterwards.
    fn was_wrong(&self, why: &strongroom::Error);
}

/// Nobody is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Ask for Nobody {
    fn secret(&self, _: Question) -> Result<String, Unanswered> {
        Err(Unanswered::because("there is nobody to ask"))
    }

    fn was_wrong(&self, _: &strongroom::Error) {}
}
