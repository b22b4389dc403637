//! What every backend promises, asked of each of ours, and what only some of them do.

mod folder;
mod hostile;
mod wrapped;

use std::path::Path;
use std::sync::Arc;
use strongroom::Backend;
use strongroom::Disk;
use strongroom::Distance;
use strongroom::Layer;
use strongroom::LocalBackend;
use strongroom::MemoryBackend;
use strongroom::Payload;
use strongroom_testkit::contract::Place;
use strongroom_testkit::names::index;
use strongroom_testkit::names::pack;

/// A layer that changes nothing.
struct Wrapped(LocalBackend);

impl Layer for Wrapped {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }
}

fn in_folder<B: Backend>(make: impl Fn(&Path) -> B) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repository");
    Place::new(Arc::new(make(&root)), Arc::new(make(&root))).keeping(folder)
}

async fn in_memory() -> Place {
    let memory = MemoryBackend::new();
    Place::new(Arc::new(memory.clone()), Arc::new(memory))
}

async fn in_a_folder() -> Place {
    in_folder(|root| LocalBackend::new(root))
}

async fn in_a_folder_by_link() -> Place {
    in_folder(|root| LocalBackend::linking(root))
}

/// A folder as those see it who have put something around it.
async fn behind_a_layer() -> Place {
    in_folder(|root| Wrapped(LocalBackend::new(root)))
}

strongroom_testkit::backend_contract!(memory, in_memory);
strongroom_testkit::backend_contract!(local, in_a_folder);
strongroom_testkit::backend_contract!(local_by_link, in_a_folder_by_link);
strongroom_testkit::backend_contract!(wrapped_folder, behind_a_layer);

#[tokio::test]
async fn stores_of_this_machine_are_near_and_tell_one_age_everywhere() {
    let holder = tempfile::tempdir().unwrap();
    let (folder, linking) = (holder.path().join("folder"), holder.path().join("linking"));
    let stores: [Box<dyn Backend>; 4] = [
        Box::new(MemoryBackend::new()),
        Box::new(LocalBackend::new(&folder)),
        Box::new(LocalBackend::linking(&linking)),
        Box::new(Wrapped(LocalBackend::new(holder.path().join("wrapped")))),
    ];
    for store in stores {
        store.prepare().await.unwrap();
        assert_eq!(store.properties().distance, Distance::Near);
        assert!(store.properties().lists_at_once);
        for name in [pack(1), index(1)] {
            store.put(&name, body("x")).await.unwrap();
            let listed = store.list(name.area().unwrap()).await.unwrap();
            assert!(listed[0].modified.is_some(), "{}", store.describe());
            assert_eq!(store.stat(&name).await.unwrap(), Some(listed[0]));
        }
    }
}

/// What a folder does beside what every store does.
fn disk(backend: &dyn Backend) -> &dyn Disk {
    backend.disk().expect("it is on a disk")
}

fn body(text: &str) -> Payload {
    Payload::from(text.as_bytes().to_vec())
}
