//! A reading budget: a little of the data each run, the longest unread first, until everything was read and again.

use super::CheckReport;
use super::ReadData;
use super::StoredPack;
use super::data::share;
use super::data::take_bytes;
use super::data::total;
use crate::backend::Name;
use crate::cache::Account;
use crate::cache::Seen;
use crate::cache::Verified;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::PackId;
use crate::job::Control;
use crate::repository::Repository;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// What a first run may use, when the budget's time is longer.
const DAY_SECONDS: u64 = 86_400;
/// For so long a budget is saved up, or for its own time when that is longer: a clock that jumps, or a machine that was
/// off for a year, does not make one run read everything.
const WEEK_SECONDS: u64 = 7 * DAY_SECONDS;

/// How much of the stored data to read in what time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadBudget {
    share: BudgetShare,
    every: Option<Duration>,
}

/// An amount of stored data.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BudgetShare {
    /// A share of everything stored, in percent: above 0, up to 100.
    Percent(f64),
    /// So many bytes; more than 0.
    Bytes(u64),
}

impl ReadBudget {
    /// So much in each run, however often that is.
    pub fn each_run(share: BudgetShare) -> Self {
        Self { share, every: None }
    }

    /// So much in every stretch of this time (at least a second), whatever the number of runs. A run may read what has
    /// been saved up since the last one, for at most a week or once this time.
    pub fn every(share: BudgetShare, time: Duration) -> Self {
        Self { share, every: Some(time) }
    }

    /// Bytes of the share, when so many are stored.
    fn bytes(&self, stored: u64) -> Result<u64> {
        let wrong = |what: String| Err(Error::new(Kind::Invalid, what));
        match self.share {
            BudgetShare::Percent(percent) if !(percent > 0.0 && percent <= 100.0) => {
                wrong(format!("{percent} % is no share of the data"))
            }
            BudgetShare::Bytes(0) => wrong("a reading budget of zero reads nothing".into()),
            _ if self.every.is_some_and(|time| time.as_secs() == 0) => {
                wrong("the time of a reading budget is at least a second".into())
            }
            BudgetShare::Percent(percent) => Ok(share(stored, percent).max(1)),
            BudgetShare::Bytes(bytes) => Ok(bytes),
        }
    }

    /// What this run may read: what the time since the last one gives, and what that one left or used too much.
    /// After a run with another budget it is what this one gives for its time, or a day of it, without what was read then.
    fn allowance(&self, bytes: u64, account: Option<Account>, now: i64, read_since: impl Fn(i64) -> u64) -> i64 {
        let saved = account.map_or(0, |account| account.saved);
        let Some(time) = self.every else { return signed(bytes.into()).saturating_add(saved.min(0)) };
        let longest = time.as_secs().max(WEEK_SECONDS);
        let since = match account {
            None => time.as_secs().min(DAY_SECONDS),
            // Where the clock was set back, no time has passed.
            Some(account) => u64::try_from(now.saturating_sub(account.at)).unwrap_or(0).min(longest),
        };
        let earned = |seconds: u64| signed(u128::from(bytes) * u128::from(seconds) / u128::from(time.as_secs().max(1)));
        if account.is_some_and(|account| account.budget != self.numbers()) {
            let window = time.as_secs().min(DAY_SECONDS);
            let read = read_since(now.saturating_sub(signed(window.into())));
            return earned(window).saturating_sub(signed(read.into())).max(0);
        }
        saved.saturating_add(earned(since)).min(earned(longest))
    }

    /// What tells this budget from others.
    fn numbers(&self) -> (i64, i64) {
        let share = match self.share {
            BudgetShare::Percent(percent) => i64::from_le_bytes(percent.to_le_bytes()),
            // Percentages are above 0, and so are their bits.
            BudgetShare::Bytes(bytes) => signed(bytes.into()).saturating_neg(),
        };
        (share, self.every.map_or(0, |time| signed(time.as_secs().into())))
    }

    /// How long so many bytes take.
    fn pace(&self, rest: u64, bytes: u64) -> AtThisPace {
        let bytes = bytes.max(1);
        match self.every {
            None => AtThisPace::Runs(rest.div_ceil(bytes)),
            Some(time) => {
                let seconds = (u128::from(rest) * u128::from(time.as_secs())).div_ceil(u128::from(bytes));
                AtThisPace::Time(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// How long something takes with a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtThisPace {
    /// With a budget for a time.
    Time(Duration),
    /// With a budget for each run.
    Runs(u64),
}

/// How a reading budget was used, and how far the reading has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetReport {
    /// Bytes that this run was allowed to read. Packs are read whole: what is too much is taken off the next run.
    pub allowed: u64,
    /// Packs that were never read and found whole, damaged ones included.
    pub packs_unverified: u64,
    /// Their bytes.
    pub bytes_unverified: u64,
    /// Packs whose last reading found damage.
    pub packs_damaged: u64,
    /// The longest time that any pack has not been verified: since then, or, if it never was, since it was stored, as far
    /// as the store tells. `None` where nothing is known.
    pub oldest: Option<Duration>,
    /// How long it takes until every pack was read once; no time when that is done.
    pub all_read_in: AtThisPace,
    /// How long it takes to read everything again.
    pub all_anew_in: AtThisPace,
    /// Whether it could be remembered what was read; if not, the next run starts over.
    pub is_remembered: bool,
}

/// What earlier checks have verified, and what this one adds. Without a file it is forgotten with the run.
pub(super) struct Ledger {
    file: Option<Verified>,
    seen: HashMap<PackId, Seen>,
    turn: i64,
    now: i64,
    plan: Option<Plan>,
}

/// What a budget comes to in this run.
struct Plan {
    budget: ReadBudget,
    /// Bytes of the budget's share.
    bytes: u64,
    allowed: i64,
    left: i64,
}

impl Ledger {
    /// Opens what is remembered, where anything is to be read.
    pub(super) fn open(repository: &Repository, read_data: ReadData, packs: &[StoredPack]) -> Result<Self> {
        let store = repository.store();
        let now = store.clock().now().seconds;
        let folder = store.local().cache.filter(|_| read_data != ReadData::Nothing);
        let is_budget = matches!(read_data, ReadData::Budget(_));
        if folder.is_none() && is_budget {
            return Err(Error::new(Kind::Invalid, "a reading budget needs a cache folder")
                .because("what was verified when is remembered there"));
        }
        let open = |folder: PathBuf| Verified::open(&folder, store.keys().metadata_names.clone(), store.repository());
        let file = match folder.clone().map(open) {
            Some(Err(why)) if is_budget => return Err(cannot_remember(folder, &why)),
            file => file.and_then(std::io::Result::ok),
        };
        let mut ledger = Self { file, seen: HashMap::new(), turn: 0, now, plan: None };
        ledger.seen = ledger.ask(Verified::packs).unwrap_or_default();
        ledger.turn = ledger.seen.values().map(|seen| seen.turn).max().unwrap_or(0).saturating_add(1);
        let there: HashSet<PackId> = packs.iter().map(|pack| pack.id).collect();
        let gone: Vec<PackId> = ledger.seen.keys().filter(|pack| !there.contains(pack)).copied().collect();
        ledger.seen.retain(|pack, _| there.contains(pack));
        ledger.ask(|file| file.forget(&gone));
        if let ReadData::Budget(budget) = read_data {
            let bytes = budget.bytes(total(packs))?;
            let account = ledger.file.as_ref().and_then(Verified::account);
            let allowed = budget.allowance(bytes, account, now, |since| ledger.read_since(packs, since));
            ledger.plan = Some(Plan { budget, bytes, allowed, left: allowed });
            ledger.save();
            if ledger.file.is_none() {
                return Err(cannot_remember(folder, &"the file cannot be read and written"));
            }
        }
        Ok(ledger)
    }

    /// Of `packs` those to read now: damaged ones again (for half of what is allowed, lest nothing else be read),
    /// then those never read, then those read longest ago. The order of equals stays.
    pub(super) fn choose(&self, packs: Vec<StoredPack>) -> Result<Vec<StoredPack>> {
        let Some(plan) = &self.plan else { return Err(Error::new(Kind::Bug, "there is no reading budget")) };
        let (mut damaged, mut others): (Vec<_>, Vec<_>) = packs.into_iter().partition(|pack| self.is_damaged(pack));
        let turn = |pack: &StoredPack| self.seen.get(&pack.id).map_or(i64::MIN, |seen| seen.turn);
        damaged.sort_by_key(turn);
        others.sort_by_key(turn);
        let allowed = u64::try_from(plan.allowed).unwrap_or(0);
        let again = take_bytes(&mut damaged, allowed.div_ceil(2));
        // However small the budget, something else is read as well.
        take_bytes(&mut others, if allowed > 0 { allowed.saturating_sub(again).max(1) } else { 0 });
        damaged.append(&mut others);
        Ok(damaged)
    }

    /// Remembers the outcome of reading a pack.
    pub(super) fn note(&mut self, pack: &StoredPack, is_whole: bool) {
        let seen = Seen { is_whole, turn: self.turn, at: self.now };
        self.seen.insert(pack.id, seen);
        self.ask(|file| file.add(&pack.id, seen));
        if let Some(plan) = &mut self.plan {
            plan.left = plan.left.saturating_sub(signed(pack.length.into()));
            self.save();
        }
    }

    /// Closes the account of a run that has read all it chose, and tells. Damage that was found earlier and not looked at
    /// again is told again: it does not go away by being remembered.
    pub(super) fn close(mut self, packs: &[StoredPack], control: &Control, report: &mut CheckReport) {
        let Some(plan) = &mut self.plan else { return };
        // There was nothing more to read: that saves nothing up.
        plan.left = plan.left.min(0);
        let (budget, bytes, allowed) = (plan.budget, plan.bytes, plan.allowed);
        self.save();
        for pack in packs.iter().filter(|pack| self.is_damaged(pack)) {
            if self.seen.get(&pack.id).is_some_and(|seen| seen.turn < self.turn) {
                let message = "an earlier check found it damaged, and this one had no budget to read it again";
                report.problem(control, Name::Pack(pack.id), message);
            }
        }
        let unverified = || packs.iter().filter(|pack| !self.is_verified(pack));
        let never_read = packs.iter().filter(|pack| !self.seen.contains_key(&pack.id)).map(|pack| pack.length).sum();
        report.budget = Some(BudgetReport {
            allowed: u64::try_from(allowed).unwrap_or(0),
            packs_unverified: u64::try_from(unverified().count()).unwrap_or(u64::MAX),
            bytes_unverified: unverified().map(|pack| pack.length).sum(),
            packs_damaged: u64::try_from(packs.iter().filter(|pack| self.is_damaged(pack)).count()).unwrap_or(u64::MAX),
            oldest: packs.iter().filter_map(|pack| self.age(pack)).max(),
            all_read_in: budget.pace(never_read, bytes),
            all_anew_in: budget.pace(total(packs), bytes),
            is_remembered: self.file.is_some(),
        });
    }

    /// Bytes of the packs that were read after that time.
    fn read_since(&self, packs: &[StoredPack], since: i64) -> u64 {
        let is_read = |pack: &&StoredPack| self.seen.get(&pack.id).is_some_and(|seen| seen.at > since);
        packs.iter().filter(is_read).map(|pack| pack.length).sum()
    }

    fn is_verified(&self, pack: &StoredPack) -> bool {
        self.seen.get(&pack.id).is_some_and(|seen| seen.is_whole)
    }

    fn is_damaged(&self, pack: &StoredPack) -> bool {
        self.seen.get(&pack.id).is_some_and(|seen| !seen.is_whole)
    }

    /// How long the pack has not been verified, by this host's clock; what lies in the future was just now.
    fn age(&self, pack: &StoredPack) -> Option<Duration> {
        let seen = self.seen.get(&pack.id).filter(|seen| seen.is_whole).map(|seen| seen.at);
        let since = seen.or(pack.stored.map(|time| time.seconds))?;
        Some(Duration::from_secs(u64::try_from(self.now.saturating_sub(since)).unwrap_or(0)))
    }

    /// What is left is written down with every pack: a run that is stopped has used no more than it read.
    fn save(&mut self) {
        let Some(Plan { budget, left, .. }) = &self.plan else { return };
        let account = Account { at: self.now, saved: *left, budget: budget.numbers() };
        self.ask(|file| file.set_account(account));
    }

    /// After the first error the file is left alone.
    fn ask<T>(&mut self, ask: impl FnOnce(&Verified) -> Option<T>) -> Option<T> {
        let answer = ask(self.file.as_ref()?);
        if answer.is_none() {
            self.file = None;
        }
        answer
    }
}

/// A budget that forgets what it has read reads the same again, or gives each run all that it has for its time.
fn cannot_remember(folder: Option<PathBuf>, why: &dyn std::fmt::Display) -> Error {
    let place = folder.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
    Error::new(Kind::CacheFailed, format!("cannot keep a reading budget{place}")).because(why.to_string()).advise(
        "see that this folder is yours, is not full, and that verified.sqlite in it may be written: that file may be \
         removed, reading then starts over; or name another folder with --cache-dir",
    )
}

fn signed(bytes: u128) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
