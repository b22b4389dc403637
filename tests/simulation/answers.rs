//! How the simulated store answers: at once or as it was some hours ago, truly, falsely, or not at all.

use super::actors::Role;
use super::desk::Answer;
use super::desk::Operation;
use super::desk::Waiting;
use super::options::Broken;
use super::shelf::Sight;
use super::time::DAY;
use super::time::HOUR;
use super::time::MINUTE;
use super::world::World;
use strongroom::Area;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Listed;
use strongroom::Result;

impl World {
    /// The operation is done, or fails, or both.
    pub(super) fn perform(&mut self, waiting: &Waiting) -> Result<Answer> {
        let (actor, operation) = (waiting.actor, &waiting.operation);
        self.check_room(operation)?;
        if !self.strikes(self.options.faults) {
            return self.apply(actor, operation);
        }
        let fate = self.dice.below(4);
        let error =
            |why: &str| Error::new(Kind::BackendBusy, format!("cannot {}", operation.words())).because(why.to_owned());
        match fate {
            0 => Err(error("503: slow down")),
            1 => Err(error("timed out, and it was not done")),
            2 => {
                let _ = self.apply(actor, operation);
                Err(error("timed out, and it was done"))
            }
            _ => {
                // Names are never used again, so a deletion may come as late as it likes.
                let latest = if matches!(operation, Operation::Delete(_)) { 3 * DAY } else { 30 * MINUTE };
                let due = self.time.now() + self.dice.below(latest);
                if matches!(operation, Operation::Put(..) | Operation::Delete(_)) {
                    self.stragglers.push((due, actor, operation.clone()));
                }
                Err(error("timed out, and it may be done later"))
            }
        }
    }

    /// While the store is full most puts fail.
    fn check_room(&mut self, operation: &Operation) -> Result<()> {
        let Operation::Put(name, _) = operation else { return Ok(()) };
        let now = self.time.now();
        if self.strikes(self.options.full) {
            self.full_until = now + HOUR;
        }
        if now < self.full_until && self.dice.below(4) > 0 {
            return Err(Error::new(Kind::NoSpace, format!("cannot store {name}")).because("no room is left"));
        }
        Ok(())
    }

    /// What the store does and answers.
    pub(super) fn apply(&mut self, actor: usize, operation: &Operation) -> Result<Answer> {
        let now = self.time.now();
        match operation {
            Operation::Put(name, bytes) => {
                self.shelf.put(*name, bytes.clone(), actor, now)?;
                Ok(Answer::Done)
            }
            Operation::Get(name) => {
                let sight = self.sight(actor, name.area());
                self.shelf.get(name, sight).map(Answer::Bytes)
            }
            Operation::Range(name, offset, length) => {
                let sight = self.sight(actor, name.area());
                self.shelf.range(name, *offset, *length, sight).map(Answer::Bytes)
            }
            Operation::Stat(name) => {
                let sight = self.sight(actor, name.area());
                Ok(Answer::Stat(self.shelf.stat(name, sight)))
            }
            Operation::List(area) => {
                let sight = self.sight(actor, Some(*area));
                let mut list = self.shelf.list(*area, sight);
                self.mislead(actor, *area, &mut list);
                Ok(Answer::List(list))
            }
            Operation::Delete(name) => {
                self.shelf.delete(*name, actor, now);
                Ok(Answer::Done)
            }
            Operation::Barrier => {
                if self.options.broken != Some(Broken::NoBarrier) {
                    self.shelf.barrier(actor);
                }
                Ok(Answer::Done)
            }
            Operation::Adopt(name) => {
                self.shelf.adopt(name, actor);
                Ok(Answer::Done)
            }
            Operation::BarrierFor(area) => {
                if self.options.broken != Some(Broken::NoBarrierFor(*area)) {
                    self.shelf.barrier_for(*area, actor);
                }
                Ok(Answer::Done)
            }
            Operation::Rest(_) => Ok(Answer::Done),
        }
    }

    /// How much of the past this look shows.
    fn sight(&mut self, actor: usize, area: Option<Area>) -> Sight {
        let (now, stale) = (self.time.now(), self.options.stale);
        let Some(area) = area.filter(|_| stale > 0) else { return Sight { by: actor, at: u64::MAX } };
        let age = match self.dice.below(6) {
            0 | 1 => 0,
            2 => stale,
            _ => self.dice.below(stale),
        };
        let mut at = now.saturating_sub(age);
        if self.options.steady {
            let seen = self.seen.entry((actor, area)).or_default();
            *seen = at.max(*seen);
            at = *seen;
        }
        Sight { by: actor, at }
    }

    /// Takes out of a listing what a rule that is broken on purpose would have shown.
    fn mislead(&mut self, actor: usize, area: Area, list: &mut Vec<Listed>) {
        let Some(broken) = self.options.broken else { return };
        let role = self.actors[actor].role;
        let is_hidden = matches!(
            (broken, role, area),
            (Broken::MarksAreHidden, Role::Writer, Area::Marks | Area::Tombs)
                | (Broken::IntentsAreHidden, Role::Pruner, Area::Pending)
        );
        if is_hidden {
            list.clear();
        }
        if broken == Broken::ForeignMarksAreHidden && role == Role::Pruner && matches!(area, Area::Marks | Area::Tombs)
        {
            list.retain(|listed| self.shelf.is_of(&listed.name, actor));
        }
    }
}
