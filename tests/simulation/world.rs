//! One world from its first step to its last: who goes next, what goes wrong, and how much time passes meanwhile.

use super::actors::Outcome;
use super::actors::Role;
use super::actors::Seat;
use super::desk::Answer;
use super::desk::Desk;
use super::desk::Operation;
use super::desk::Truth;
use super::desk::Waiting;
use super::options::Broken;
use super::options::Options;
use super::options::dice;
use super::oracle::Oracle;
use super::rewrites::Rewrites;
use super::shelf::Shelf;
use super::shelf::StoreClock;
use super::tally::Deeds;
use super::tally::Tally;
use super::time::DAY;
use super::time::HOUR;
use super::time::Hands;
use super::time::MINUTE;
use super::time::Time;
use crate::support::trees::Dice;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use strongroom::Area;
use strongroom::Name;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// No world has more steps.
const STEPS_MAX: u64 = 30_000;
/// Times that nothing at all may happen while an actor is at work.
const PATIENCE: usize = 2000;

pub(super) struct Actor {
    pub(super) role: Role,
    pub(super) seat: Seat,
    task: JoinHandle<()>,
    /// Its task was seen to have come to its end.
    ended: bool,
    asleep_until: u64,
    /// Has slept so long that its intents may be taken for left over.
    pub(super) overslept: bool,
}

pub struct World {
    pub(super) seed: u64,
    pub(super) options: Arc<Options>,
    pub(super) dice: Dice,
    pub(super) time: Time,
    step: Time,
    pub(super) shelf: Shelf,
    desk: Desk,
    pub(super) actors: Vec<Actor>,
    pub(super) oracle: Oracle,
    outcomes: Arc<Mutex<Vec<(usize, Outcome)>>>,
    /// Operations that were said to have failed, and reach the store later.
    pub(super) stragglers: Vec<(u64, usize, Operation)>,
    pub(super) full_until: u64,
    /// For each actor and area the moment that its last look has shown.
    pub(super) seen: BTreeMap<(usize, Area), u64>,
    /// Who went on in the step before.
    last: usize,
    trace: DefaultHasher,
    /// Prints every step.
    aloud: bool,
    /// Folders of the machines, in the worlds where they have any.
    folders: Option<TempDir>,
    deeds: Deeds,
    pub tally: Tally,
}

impl World {
    pub async fn new(seed: u64, options: Options, contents: &[(Name, Bytes)], aloud: bool) -> Self {
        let clock = StoreClock { behind: options.behind, right_from: options.right_from };
        let (time, step, shelf) = (Time::default(), Time::default(), Shelf::new(contents, clock));
        let truth = Truth { shelf: shelf.clone(), time: time.clone(), lists_at_once: options.stale == 0 };
        let rewrites = Rewrites::default();
        let oracle = Oracle::new(truth, rewrites.clone()).await;
        let folders = (options.shard > 0).then(|| tempfile::tempdir().expect("a folder"));
        let mut world = Self {
            seed,
            options: Arc::new(options),
            dice: dice(seed, 1),
            time,
            step,
            shelf,
            desk: Desk::default(),
            actors: Vec::new(),
            oracle,
            outcomes: Arc::default(),
            stragglers: Vec::new(),
            full_until: 0,
            seen: BTreeMap::new(),
            last: 0,
            trace: DefaultHasher::new(),
            aloud,
            folders,
            deeds: Deeds::default(),
            tally: Tally::default(),
        };
        let options = Arc::clone(&world.options);
        let groups = [
            (Role::Writer, options.writers),
            (Role::Pruner, options.pruners),
            (Role::Keeper, options.keepers),
            (Role::Reader, options.readers),
        ];
        for role in groups.into_iter().flat_map(|(role, count)| (0..count).map(move |_| role)) {
            world.add(role, &rewrites);
        }
        world
    }

    fn add(&mut self, role: Role, rewrites: &Rewrites) {
        let actor = self.actors.len();
        let folder = self.folders.as_ref().map(|folders| folders.path().join(actor.to_string()));
        folder.iter().for_each(|folder| std::fs::create_dir(folder).expect("a folder"));
        let skew = self.skew();
        let seat = Seat {
            actor,
            role,
            life: 0,
            seed: self.seed,
            options: Arc::clone(&self.options),
            desk: self.desk.clone(),
            time: self.time.clone(),
            step: self.step.clone(),
            hands: Arc::new(Hands::new(&self.time, skew)),
            runs: Arc::new(Mutex::new(self.options.runs)),
            outcomes: Arc::clone(&self.outcomes),
            reads_source: Arc::default(),
            rewrites: rewrites.clone(),
            deeds: self.deeds.clone(),
            folder,
        };
        let task = tokio::spawn(seat.clone().run());
        self.actors.push(Actor { role, seat, task, ended: false, asleep_until: 0, overslept: false });
    }

    /// Local files that hold a part of the index.
    pub(super) fn shards(&self) -> u64 {
        let Some(folders) = &self.folders else { return 0 };
        let below =
            |folder: PathBuf| std::fs::read_dir(folder).expect("a folder").map(|found| found.expect("read").path());
        let machines = below(folders.path().to_owned()).flat_map(below).filter(|path| path.is_dir());
        machines.flat_map(below).count() as u64
    }

    fn skew(&mut self) -> i64 {
        let most = i64::try_from(self.options.skew).expect("ten years");
        i64::try_from(self.dice.below(self.options.skew * 2 + 1)).expect("twenty years") - most
    }

    /// True once in `rarity` times; never for 0.
    pub(super) fn strikes(&mut self, rarity: u64) -> bool {
        rarity > 0 && self.dice.below(rarity) == 0
    }

    /// Plays it to its end; `Err` tells what was lost.
    pub async fn play(&mut self) -> Result<(), String> {
        self.settle(None).await?;
        while self.next().await? {
            self.tally.steps += 1;
            self.step.pass(1);
            if self.tally.steps > STEPS_MAX {
                return Err(format!("it goes on after {STEPS_MAX} steps"));
            }
        }
        self.tally.trace = self.trace.finish();
        let outcome = self.end().await;
        self.tally.add(&self.deeds.tally());
        self.tally.add(&self.oracle.tally);
        outcome
    }

    /// One step; `false` when nobody is left.
    async fn next(&mut self) -> Result<bool, String> {
        let now = self.time.now();
        self.let_stragglers_arrive().await?;
        let asleep = |actor: usize| self.actors[actor].asleep_until;
        let due: Vec<(usize, u64)> =
            self.desk.actors().into_iter().map(|(actor, until)| (actor, until.max(asleep(actor)))).collect();
        let mut ready: Vec<usize> = due.iter().filter(|(_, until)| *until <= now).map(|(actor, _)| *actor).collect();
        ready.dedup();
        let Some(first) = ready.first().copied() else {
            let stragglers = self.stragglers.iter().map(|(due, ..)| *due);
            let Some(next) = due.iter().map(|(_, until)| *until).chain(stragglers).min() else { return Ok(false) };
            self.time.reach(next);
            return Ok(true);
        };
        let pick = ready.get(usize::try_from(self.dice.below(ready.len() as u64)).expect("few")).copied();
        let stays = self.dice.below(100) < self.options.sticky && ready.contains(&self.last);
        self.last = if stays { self.last } else { pick.unwrap_or(first) };
        let nth = self.dice.below(8);
        let Some(waiting) = self.desk.take(self.last, nth) else { return Ok(true) };
        self.time.pass(1 + self.dice.below(self.options.pace));
        self.serve(waiting).await?;
        Ok(true)
    }

    /// One operation's turn: it is done, or something comes between.
    async fn serve(&mut self, mut waiting: Waiting) -> Result<(), String> {
        let actor = waiting.actor;
        let rests = matches!(waiting.operation, Operation::Rest(_));
        let words = waiting.operation.words();
        if !rests && self.strikes(self.options.outages) {
            self.tell(actor, "the store goes down");
            return self.go_down().await;
        }
        if !rests && self.strikes(self.options.crashes) {
            self.tell(actor, &format!("crashes before {words}"));
            self.desk.put_back(waiting);
            return self.crash(actor).await;
        }
        if !rests && self.strikes(self.options.pauses) {
            self.sleep(actor);
            self.desk.put_back(waiting);
            return Ok(());
        }
        if rests {
            self.shelf.begin(actor);
            return self.reply(waiting, Ok(Answer::Done)).await;
        }
        if let Some(answer) = waiting.answer.take() {
            self.tell(actor, &format!("hears of {words}"));
            return self.reply(waiting, answer).await;
        }
        let answer = self.perform(&waiting);
        let came_to = match &answer {
            Ok(_) => String::new(),
            Err(error) => format!(": {error}"),
        };
        self.tell(actor, &format!("{words}{came_to}"));
        let is_write = matches!(waiting.operation, Operation::Put(..) | Operation::Delete(_));
        if is_write && self.strikes(self.options.lingers) || self.strikes(self.options.pauses) {
            waiting.answer = Some(answer);
            self.sleep(actor);
            self.desk.put_back(waiting);
            return self.look().await;
        }
        self.reply(waiting, answer).await
    }

    async fn reply(&mut self, waiting: Waiting, answer: strongroom::Result<Answer>) -> Result<(), String> {
        match (&waiting.operation, &answer) {
            // Without a barrier packs are never safe, whatever comes after them.
            (Operation::Put(name, _), Ok(_)) if name.is_pack() && self.options.broken == Some(Broken::NoBarrier) => {}
            (Operation::Put(name, _), Ok(_)) => self.shelf.answered(name, waiting.actor),
            (Operation::Delete(name), Ok(_)) => self.shelf.deleted(name, waiting.actor),
            _ => {}
        }
        let actor = waiting.actor;
        drop(waiting.reply.send(answer));
        self.settle(Some(actor)).await?;
        self.look().await
    }

    /// Waits until the actor has gone as far as it can: it has asked for something, or has ended.
    async fn settle(&mut self, actor: Option<usize>) -> Result<(), String> {
        for _ in 0..PATIENCE {
            let stirred = Arc::clone(&self.desk.stirred);
            // The clock of the runtime stands still while anything runs, on whatever thread, and jumps when nothing does.
            let is_still = tokio::select! {
                biased;
                () = stirred.notified() => false,
                () = tokio::time::sleep(Duration::from_millis(1)) => true,
            };
            if is_still && actor.is_none_or(|actor| self.desk.has(actor) || self.actors[actor].task.is_finished()) {
                return Ok(());
            }
            // A backup's threads wait for what it reads of its parent: that is no moment for others.
            while let Some(actor) = actor.filter(|actor| self.actors[*actor].seat.reads_source.load(SeqCst))
                && let Some(waiting) = self.desk.take_read(actor)
            {
                let answer = self.perform(&waiting);
                let failed = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
                self.tell(actor, &format!("{}, at once {failed}", waiting.operation.words()));
                drop(waiting.reply.send(answer));
            }
        }
        Err("somebody waits for something that does not come".into())
    }

    /// Looks at what has changed, and at what was said to be done.
    async fn look(&mut self) -> Result<(), String> {
        let changes = self.shelf.changes();
        let roles: Vec<Role> = self.actors.iter().map(|actor| actor.role).collect();
        self.oracle.absorb(&changes, self.time.now(), |actor| roles.get(actor).copied()).await?;
        let outcomes = std::mem::take(&mut *self.outcomes.lock().expect("no holder panics"));
        for (actor, outcome) in outcomes {
            self.judge(actor, outcome)?;
            self.remove_broken(actor).await?;
        }
        for actor in &mut self.actors {
            if actor.ended || !actor.task.is_finished() {
                continue;
            }
            actor.ended = true;
            if (&mut actor.task).await.is_err_and(|lost| lost.is_panic()) {
                return Err(format!("{:?} panicked", actor.role));
            }
        }
        Ok(())
    }

    fn sleep(&mut self, actor: usize) {
        let longest = match self.dice.below(8) {
            0..=2 => 20 * MINUTE,
            3 | 4 => 12 * HOUR,
            5 => 3 * DAY,
            6 => 16 * DAY,
            _ => 30 * DAY,
        };
        // By the store's time nobody sleeps for longer than tombs stay.
        let length = 1 + self.dice.below(longest.min(30 * DAY - self.options.behind));
        let (is_unnoticed, is_set) = (self.dice.below(4) == 0, self.dice.below(8) == 0);
        let skew = self.skew();
        let until = self.time.now() + length;
        let sleeper = &mut self.actors[actor];
        sleeper.asleep_until = until;
        sleeper.overslept |= length + self.options.behind > 12 * DAY;
        if is_unnoticed {
            sleeper.seat.hands.overlook(length);
        }
        if is_set {
            sleeper.seat.hands.set(skew);
        }
        self.tell(
            actor,
            &format!("sleeps for {} min, unnoticed: {is_unnoticed}, clock set: {is_set}", length / MINUTE),
        );
    }

    /// The process of an actor is gone; a new one goes on with what is left to do.
    async fn crash(&mut self, actor: usize) -> Result<(), String> {
        self.stop(actor);
        self.settle(None).await?;
        self.start(actor).await
    }

    fn stop(&mut self, actor: usize) {
        self.tally.count("crashes", 1);
        let Actor { seat, task, .. } = &mut self.actors[actor];
        drop(self.desk.kill(actor, seat.life));
        task.abort();
        seat.life += 1;
    }

    async fn start(&mut self, actor: usize) -> Result<(), String> {
        self.remove_broken(actor).await?;
        let Actor { seat, task, asleep_until, ended, .. } = &mut self.actors[actor];
        (*asleep_until, *ended) = (0, false);
        seat.hands.start();
        seat.reads_source.store(false, SeqCst);
        *task = tokio::spawn(seat.clone().run());
        self.settle(Some(actor)).await?;
        self.look().await
    }

    /// The machine of the store goes down, and takes everybody with it.
    async fn go_down(&mut self) -> Result<(), String> {
        let all: Vec<usize> = (0..self.actors.len()).filter(|actor| !self.actors[*actor].task.is_finished()).collect();
        all.iter().for_each(|actor| self.stop(*actor));
        self.settle(None).await?;
        let (lost, back) = self.shelf.outage(&mut self.dice);
        self.tally.count("names lost", lost);
        self.tally.count("deletions undone", back);
        for actor in all {
            self.start(actor).await?;
        }
        Ok(())
    }

    async fn let_stragglers_arrive(&mut self) -> Result<(), String> {
        let now = self.time.now();
        let (due, later) = std::mem::take(&mut self.stragglers).into_iter().partition(|(due, ..)| *due <= now);
        self.stragglers = later;
        for (_, actor, operation) in due {
            self.tell(actor, &format!("at last: {}", operation.words()));
            // Nobody waits for what it comes to.
            let _ = self.apply(actor, &operation);
            self.look().await?;
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, actor: usize, what: &str) {
        (actor, what, self.time.now()).hash(&mut self.trace);
        if self.aloud {
            let role = self.actors.get(actor).map(|actor| actor.role);
            let now = self.time.now();
            println!(
                "{:>5} {:>4} d {:>7.2} h {role:?} {actor}: {what}",
                self.tally.steps,
                now / DAY,
                (now % DAY) as f64 / HOUR as f64
            );
        }
    }
}
