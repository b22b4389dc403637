//! What every backend promises, asked of each of them in the same words.

mod folder;
mod hostile;
mod lists;
mod objects;
mod races;
mod whole;
mod wrapped;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Disk;
use strongroom::Layer;
use strongroom::LocalBackend;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Payload;
use tempfile::TempDir;

/// A location of its own for one test, gone at its end.
struct Place {
    backend: Arc<dyn Backend>,
    /// Another handle on the same location, as another process would have.
    other: Arc<dyn Backend>,
    _folder: Option<TempDir>,
}

impl Place {
    fn memory() -> Self {
        let memory = MemoryBackend::new();
        Self { other: Arc::new(memory.clone()), backend: Arc::new(memory), _folder: None }
    }

    fn folder(make: fn(&std::path::Path) -> LocalBackend) -> Self {
        Self::in_folder(|root| Arc::new(make(root)))
    }

    /// A folder as those see it who have put something around it.
    fn wrapped() -> Self {
        Self::in_folder(|root| Arc::new(Wrapped(LocalBackend::new(root))))
    }

    fn in_folder(make: impl Fn(&std::path::Path) -> Arc<dyn Backend>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        Self { backend: make(&root), other: make(&root), _folder: Some(folder) }
    }

    async fn put(&self, name: &Name, text: &str) {
        self.backend.put(name, body(text)).await.unwrap();
    }

    /// Names in an area, seen through the other handle.
    async fn names(&self, area: Area) -> Vec<Name> {
        self.other.list(area).await.unwrap().into_iter().map(|listed| listed.name).collect()
    }
}

/// A layer that changes nothing.
struct Wrapped(LocalBackend);

impl Layer for Wrapped {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }
}

/// What a folder does beside what every store does.
fn disk(backend: &dyn Backend) -> &dyn Disk {
    backend.disk().expect("it is on a disk")
}

fn body(text: &str) -> Payload {
    Payload::from(text.as_bytes().to_vec())
}

/// Runs one promise against a prepared location.
fn keep<F>(place: Place, promise: impl FnOnce(Place) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let promised: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        place.backend.prepare().await.unwrap();
        promise(place).await;
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(promised).await.unwrap() });
}

/// Makes a test of every promise for every backend.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { crate::contract::keep(crate::contract::Place::memory(), super::$promise); })*
        }
        mod local {
            $(#[test] fn $promise() {
                let place = crate::contract::Place::folder(|root| strongroom::LocalBackend::new(root));
                crate::contract::keep(place, super::$promise);
            })*
        }
        mod local_by_link {
            $(#[test] fn $promise() {
                let place = crate::contract::Place::folder(|root| strongroom::LocalBackend::linking(root));
                crate::contract::keep(place, super::$promise);
            })*
        }
        mod wrapped {
            $(#[test] fn $promise() { crate::contract::keep(crate::contract::Place::wrapped(), super::$promise); })*
        }
    };
}
use promises;
