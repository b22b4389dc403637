//! What every backend promises, as tests for a backend of one's own.
//!
//! Say how a fresh location is made, and give it a name. Every promise becomes a test: `my_store::objects::a_name_is_taken_once`.
//!
//! ```
//! # use strongroom::MemoryBackend as MyStore;
//! use std::sync::Arc;
//! use strongroom_testkit::contract::Place;
//!
//! async fn fresh() -> Place {
//!     let store = MyStore::new();
//!     Place::new(Arc::new(store.clone()), Arc::new(store))
//! }
//!
//! strongroom_testkit::backend_contract!(my_store, fresh);
//! # fn main() {}
//! ```
//!
//! Whoever makes tests in another way goes through [`promises`] and has each of them [kept](Promise::keep_at):
//!
//! ```
//! # use strongroom::MemoryBackend;
//! # use strongroom_testkit::contract::Place;
//! # use std::sync::Arc;
//! # async fn fresh() -> Place {
//! #     let store = MemoryBackend::new();
//! #     Place::new(Arc::new(store.clone()), Arc::new(store))
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! for promise in strongroom_testkit::contract::promises() {
//!     println!("{}", promise.name);
//!     promise.keep_at(fresh().await).await;
//! }
//! # });
//! ```
//!
//! What is promised is said by [`Backend`] and its methods. The suite asks for it with some thousand small objects and a few
//! of megabytes, many at once. Where [`Properties::lists_at_once`](strongroom::Properties::lists_at_once) is false a listing
//! may be late, and is asked again for a while; reading must be current everywhere. Of the [`Disk`](strongroom::Disk) duties,
//! which are about what happens when a machine dies, it sees only that they can be called: those are for tests of one's own.
//! A backend around another is best a [`Layer`](strongroom::Layer).

mod lists;
mod objects;
mod races;
mod table;
mod whole;

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Payload;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// How often a late listing is asked again, and after how long.
const LATE_TRIES: u32 = 600;
const LATE_PAUSE: Duration = Duration::from_millis(100);

/// Puts that are under way at once where many objects are needed.
const PUTS: usize = 16;

/// A location of its own for one promise: nothing was ever stored there, and nobody else uses it.
pub struct Place {
    backend: Arc<dyn Backend>,
    other: Arc<dyn Backend>,
    /// Nothing but dropped, after the handles.
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

impl Place {
    /// A location that has not been [prepared](Backend::prepare), and another handle on it, as another process would have:
    /// the less the two share, the more is tested.
    pub fn new(backend: Arc<dyn Backend>, other: Arc<dyn Backend>) -> Self {
        Self { backend, other, _kept: None }
    }

    /// Keeps something until the promise has been seen to, like a temporary folder that goes when it is dropped.
    pub fn keeping(self, what: impl Send + Sync + 'static) -> Self {
        Self { _kept: Some(Box::new((self._kept, what))), ..self }
    }

    async fn put(&self, name: &Name, text: &str) {
        self.backend.put(name, body(text)).await.unwrap();
    }

    /// Stores an object of one byte under each name, several at once.
    async fn put_all(&self, names: impl IntoIterator<Item = Name>) {
        let mut puts = JoinSet::new();
        for name in names {
            if puts.len() == PUTS {
                puts.join_next().await.unwrap().unwrap();
            }
            let backend = Arc::clone(&self.backend);
            puts.spawn(async move { backend.put(&name, body("x")).await.unwrap() });
        }
        while let Some(put) = puts.join_next().await {
            put.unwrap();
        }
    }

    /// Names in an area, seen through the other handle.
    async fn names(&self, area: Area) -> Vec<Name> {
        self.other.list(area).await.unwrap().into_iter().map(|listed| listed.name).collect()
    }

    /// Insists that an area lists exactly these names, in this order, through the other handle: at once, or in the end where
    /// listings may be late.
    async fn lists(&self, area: Area, expected: &[Name]) -> Vec<Listed> {
        let mut tries = if self.other.properties().lists_at_once { 0 } else { LATE_TRIES };
        loop {
            let listed = self.other.list(area).await.unwrap();
            let is_right = listed.iter().map(|listed| listed.name).eq(expected.iter().copied());
            if is_right {
                return listed;
            }
            assert!(tries > 0, "{area} lists {} objects where it should list these {}", listed.len(), expected.len());
            tries -= 1;
            tokio::time::sleep(LATE_PAUSE).await;
        }
    }
}

type Keeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thing that every backend promises.
pub struct Promise {
    /// The promise in words, behind what it is about: `objects::a_name_is_taken_once`.
    pub name: &'static str,
    keep: fn(Place) -> Keeping,
}

impl Promise {
    /// Prepares the location and insists on the promise there: panics when it is not kept.
    pub async fn keep_at(&self, place: Place) {
        place.backend.prepare().await.unwrap();
        (self.keep)(place).await;
    }
}

/// Everything that every backend promises.
pub fn promises() -> &'static [Promise] {
    PROMISES
}

/// Makes the list.
#[doc(hidden)]
#[macro_export]
macro_rules! promises_as_list {
    ([] $($group:ident { $($promise:ident)* })*) => {
        &[$($(
            Promise {
                name: concat!(stringify!($group), "::", stringify!($promise)),
                keep: |place| Box::pin($group::$promise(place)),
            },
        )*)*]
    };
}

const PROMISES: &[Promise] = crate::every_promise! { promises_as_list };

/// Makes the tests.
#[doc(hidden)]
#[macro_export]
macro_rules! promises_as_tests {
    ([$name:ident $fresh:ident] $($group:ident { $($promise:ident)* })*) => {
        mod $name {
            $(mod $group {
                $(#[test] fn $promise() {
                    let name = concat!(stringify!($group), "::", stringify!($promise));
                    $crate::contract::insist(name, super::super::$fresh);
                })*
            })*
        }
    };
}

/// Makes a module of tests, one of each [promise](crate::contract::promises): `backend_contract!(my_store, fresh)`, where `fresh` is
/// a function of the module it stands in, `async fn fresh() -> Place`, called once for each.
#[macro_export]
macro_rules! backend_contract {
    ($name:ident, $fresh:ident) => {
        $crate::every_promise! { promises_as_tests $name $fresh }
    };
}

/// Insists on one promise at a fresh location, in a runtime of its own.
#[doc(hidden)]
pub fn insist<F>(name: &str, fresh: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = Place> + Send + 'static,
{
    let promise = promises().iter().find(|promise| promise.name == name).expect("tests are made of what is promised");
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let kept = runtime.block_on(async { tokio::spawn(async move { promise.keep_at(fresh().await).await }).await });
    if let Err(broken) = kept {
        resume_unwind(broken.into_panic());
    }
}

fn body(text: &str) -> Payload {
    Payload::from(text.as_bytes().to_vec())
}
