//! Brings one file of the latest snapshot back without unpacking the rest:
//! `cargo run --example restore_one_file -- REPOSITORY PATH TARGET`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use strongroom::EntryPath;
use strongroom::Key;
use strongroom::LocalBackend;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::SnapshotFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, path, target] = arguments.as_slice() else { return Err("REPOSITORY PATH TARGET".into()) };
    let key = Key::Passphrase(Secret::new("only an example"));
    let repository = Repository::open(Arc::new(LocalBackend::new(folder)), key).await?;

    // The catalog is a tree: finding one path reads a few pages of it, whatever the snapshot holds.
    let snapshot = repository.resolve("latest", &SnapshotFilter::default()).await?;
    let path = EntryPath::parse(path.as_bytes())?;
    let view = repository.view(&snapshot).await?;
    let entry = view.entry(&path).await?.ok_or_else(|| format!("{path} is not in the snapshot"))?;

    // Every piece was opened, decompressed and compared with its name before it comes out here.
    let mut content = view.open(&entry);
    let mut file = File::create_new(target)?;
    while let Some(bytes) = content.next().await? {
        file.write_all(&bytes)?;
    }
    file.sync_all()?;
    println!("{} bytes of {path} from snapshot {}", entry.content.bytes(), snapshot.id);
    Ok(())
}
