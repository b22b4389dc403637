//! The options of `prune`.

use super::values::parse_size;
use clap::Args;
use std::time::Duration;
use strongroom::MaxUnused;

/// Give back the space of what no snapshot needs
#[derive(Args, Debug)]
#[command(after_help = "Backups may run at the same time. A prune that is stopped is finished by the next one.
Examples:
  strongroom prune --dry-run
  strongroom prune
  strongroom prune --max-unused 0
  strongroom prune --max-unused unlimited --max-repack-size 10G
  strongroom prune --reencrypt")]
pub struct PruneArgs {
    /// Change nothing; show what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub how: PruneHow,
}

/// How to prune: for 'prune', and for what prunes afterwards.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How to prune")]
pub struct PruneHow {
    /// How much may stay unused in packs that are needed in part: 5%, 2G or 'unlimited' [default: 5%]
    #[arg(long, value_name = "LIMIT", value_parser = parse_max_unused)]
    pub max_unused: Option<MaxUnused>,
    /// Write at most SIZE of old packs anew in this run
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_repack_size: Option<u64>,
    /// Put small packs together
    #[arg(long)]
    pub repack_small: bool,
    /// How long condemned packs stay before a later prune removes them, as in 36h or 2d [default: 24h; 0 on a disk of this machine]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub grace: Option<Duration>,
    /// Keep packs younger than TIME, unless their backup is known to have ended [default: 48h]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub min_age: Option<Duration>,
    /// Seal anew what a root key from before 'key rotate' opens; packs that are too young take another run
    #[arg(long)]
    pub reencrypt: bool,
    /// Prune also where there is no snapshot, which removes everything that is stored
    #[arg(long)]
    pub unsafe_allow_no_snapshots: bool,
}

/// `5%`, `2G` or `unlimited`.
fn parse_max_unused(text: &str) -> Result<MaxUnused, String> {
    let text = text.trim();
    if text == "unlimited" {
        return Ok(MaxUnused::Unlimited);
    }
    let Some(percent) = text.strip_suffix('%') else { return parse_size(text).map(MaxUnused::Bytes) };
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(MaxUnused::Percent(percent)),
        _ => Err(format!("'{text}' is not a percentage from 0 and below 100")),
    }
}

/// `90m`, `36h`, `2d`, `30s`; a number alone says too little, unless it is 0.
fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a length of time: write it as 90m, 36h or 2d");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit {
        "" if number == "0" => 1,
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shares_sizes_or_none() {
        assert_eq!(parse_max_unused("5%"), Ok(MaxUnused::Percent(5.0)));
        assert_eq!(parse_max_unused("0"), Ok(MaxUnused::Bytes(0)));
        assert_eq!(parse_max_unused("2G"), Ok(MaxUnused::Bytes(2 << 30)));
        assert_eq!(parse_max_unused("unlimited"), Ok(MaxUnused::Unlimited));
        for wrong in ["", "100%", "-1%", "all", "%"] {
            assert!(parse_max_unused(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_have_one_unit() {
        let spans = ["0", "30s", "90m", "36h", "2d"].map(|text| parse_span(text).map(|span| span.as_secs()));
        assert_eq!(spans, [Ok(0), Ok(30), Ok(5400), Ok(129_600), Ok(172_800)]);
        for wrong in ["", "5", "h", "1.5h", "-1h", "1w", "999999999999999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
