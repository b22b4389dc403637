//! A backend of one's own: wraps a local folder and counts what goes through it. `cargo run --example own_backend FOLDER`.

use bytes::Bytes;
use std::error::Error;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::CreateOptions;
use strongroom::EntryPath;
use strongroom::Key;
use strongroom::Layer;
use strongroom::LocalBackend;
use strongroom::Name;
use strongroom::Payload;
use strongroom::ReadData;
use strongroom::ReaderSource;
use strongroom::Repository;
use strongroom::Secret;

/// Counts objects and bytes on their way to and from `inner`.
struct Metered {
    inner: Arc<dyn Backend>,
    objects_written: AtomicU64,
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
}

impl Metered {
    fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, objects_written: 0.into(), bytes_written: 0.into(), bytes_read: 0.into() }
    }

    fn read(&self, bytes: &Bytes) {
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

impl Layer for Metered {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            let length = body.len();
            self.inner.put(name, body).await?;
            self.objects_written.fetch_add(1, Ordering::Relaxed);
            self.bytes_written.fetch_add(length, Ordering::Relaxed);
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.inner.get(name).await.inspect(|bytes| self.read(bytes)) })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.inner.get_range(name, offset, length).await.inspect(|bytes| self.read(bytes)) })
    }

    fn describe(&self) -> String {
        format!("{}, metered", self.inner.describe())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: own_backend FOLDER")?;
    let backend = Arc::new(Metered::new(Arc::new(LocalBackend::new(folder))));
    let key = Key::Passphrase(Secret::new("only an example"));
    let repository = Repository::create(backend.clone(), key, CreateOptions::default()).await?.repository;

    let source = ReaderSource::new(EntryPath::parse(b"a letter")?, Cursor::new("dear reader\n".repeat(100_000)));
    let report = repository.backup(source).start().await?;
    let check = repository.check().read_data(ReadData::All).start().await?;

    println!("{}: {} bytes of content", repository.describe(), report.bytes);
    println!(
        "wrote {} objects, {} bytes",
        backend.objects_written.load(Ordering::Relaxed),
        backend.bytes_written.load(Ordering::Relaxed)
    );
    println!("read {} bytes, {} problems found", backend.bytes_read.load(Ordering::Relaxed), check.problems_total);
    Ok(())
}

/// What wraps a folder has to keep every promise of the folder: one test for each.
#[cfg(test)]
mod tests {
    use super::Metered;
    use std::path::Path;
    use std::sync::Arc;
    use strongroom::Backend;
    use strongroom::LocalBackend;
    use strongroom_testkit::contract::Place;

    fn metered(root: &Path) -> Arc<dyn Backend> {
        Arc::new(Metered::new(Arc::new(LocalBackend::new(root))))
    }

    async fn fresh() -> Place {
        let folder = tempfile::tempdir().expect("a folder for a test");
        let root = folder.path().join("repository");
        Place::new(metered(&root), metered(&root)).keeping(folder)
    }

    strongroom_testkit::backend_contract!(metered_folder, fresh);
}
