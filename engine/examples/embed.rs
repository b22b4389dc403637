//! Backs one file up as a stream and shows how far it is: `cargo run --example embed -- REPOSITORY FILE`.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use strongroom::CreateOptions;
use strongroom::EntryPath;
use strongroom::Key;
use strongroom::Kind;
use strongroom::LocalBackend;
use strongroom::ReaderSource;
use strongroom::Repository;
use strongroom::Secret;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(file)) = (arguments.next(), arguments.next()) else { return Err("REPOSITORY FILE".into()) };
    let key = || Key::Passphrase(Secret::new("only an example"));

    // Open the repository, or make it the first time.
    let backend = Arc::new(LocalBackend::new(folder));
    let repository = match Repository::open(backend.clone(), key()).await {
        Err(error) if error.kind() == Kind::NoRepository => {
            let created = Repository::create(backend, key(), CreateOptions::default()).await?;
            println!("recovery code: {}", created.recovery_code.unwrap_or_default());
            created.repository
        }
        opened => opened?,
    };

    // Anything that can be read can be backed up: here a file, under its own name.
    let name = file.rsplit('/').next().unwrap_or(&file);
    let source = ReaderSource::new(EntryPath::parse(name.as_bytes())?, File::open(&file)?);
    let job = repository.backup(source).tag("example").start();

    // Progress and events are data; this program chooses to print them.
    let (progress, mut events) = (job.progress(), job.events());
    let show = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            println!("{} bytes so far, {event:?}", progress.latest().bytes_done);
        }
    });
    let report = job.await?;
    show.await?;
    let snapshot = report.snapshot.ok_or("nothing was stored")?;
    println!("snapshot {}: {} bytes, {} of them new", snapshot.id, report.bytes, report.bytes_new);
    Ok(())
}
