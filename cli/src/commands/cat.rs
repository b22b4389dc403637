//! `cat`: objects of a repository as JSON.

use crate::args::CatArgs;
use crate::args::CatWhat;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::in_json;
use crate::show::message;
use crate::show::snapshot as json_of;
use crate::show::time;
use serde_json::Value;
use serde_json::json;
use strongroom::Area;
use strongroom::Class;
use strongroom::Name;
use strongroom::PackView;
use strongroom::Repository;
use strongroom::SegmentView;
use strongroom::SnapshotFilter;

/// Prints one object: indented for people, on one line for scripts.
pub async fn run(context: &Context, args: CatArgs) -> Result<Exit, Failure> {
    let id = match (args.what, &args.id) {
        (CatWhat::Config, None) => "",
        (CatWhat::Config, Some(_)) => return Err(Failure::usage("give no ID: there is one config")),
        (_, Some(id)) if !id.is_empty() => id,
        _ => return Err(Failure::usage("the ID is missing")),
    };
    let repository: Repository = context.open().await?;
    let (kind, value) = match args.what {
        CatWhat::Config => ("config", config(&repository)),
        CatWhat::Snapshot => {
            let snapshot = context.resolve(&repository, id, &SnapshotFilter::default()).await?;
            let mut value = json_of(&snapshot);
            value["session"] = snapshot.session.to_string().into();
            ("snapshot", value)
        }
        CatWhat::Index => {
            let Name::Index(id) = repository.find_object(Area::Index, id).await? else {
                return Err(Failure::failed("there is no such index object"));
            };
            let packs = repository.inspect_index(id).await?;
            ("index", json!({ "id": id.to_string(), "packs": packs.iter().map(pack).collect::<Vec<_>>() }))
        }
        CatWhat::Pack => {
            let Name::Pack(id) = repository.find_object(Area::Packs, id).await? else {
                return Err(Failure::failed("there is no such pack"));
            };
            ("pack", pack(&repository.inspect_pack(id).await?))
        }
    };
    if context.show.json {
        let mut line = message(kind);
        if let Value::Object(fields) = value {
            line.extend(fields);
        }
        context.show.json(&Value::Object(line))?;
        return Ok(Exit::Done);
    }
    let pretty = serde_json::to_string_pretty(&value);
    context.show.line(&in_json(&pretty.map_err(|why| Failure::failed("cannot write JSON").because(why))?))?;
    Ok(Exit::Done)
}

fn config(repository: &Repository) -> Value {
    let config = repository.inspect_config();
    let [read, write, prune] = config.features;
    let [algorithm, smallest, nominal, largest] = config.chunker;
    json!({
        "id": config.repository.to_string(),
        "created": time(config.created),
        "program": config.program,
        "features": { "read": read, "write": write, "prune": prune },
        "chunker": { "algorithm": algorithm, "bytes_min": smallest, "bytes_nominal": nominal, "bytes_max": largest },
        "pack_bytes": config.pack_bytes,
    })
}

fn pack(pack: &PackView) -> Value {
    let class = match pack.class {
        Class::Data => "data",
        Class::Metadata => "metadata",
        _ => "other",
    };
    json!({
        "id": pack.pack.to_string(),
        "length": pack.length,
        "class": class,
        "session": pack.session.to_string(),
        "data_keys": pack.data_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "segments": pack.segments.iter().map(segment).collect::<Vec<_>>(),
    })
}

fn segment(segment: &SegmentView) -> Value {
    let chunks: Vec<Value> =
        segment.chunks.iter().map(|chunk| json!({ "id": chunk.id.to_string(), "length": chunk.length })).collect();
    json!({
        "offset": segment.offset,
        "stored_length": segment.stored_length,
        "plain_length": segment.plain_length,
        "compression": segment.compression,
        "chunks": chunks,
    })
}
