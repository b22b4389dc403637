//! zstd in and out: contexts and buffers that are used again, output that is bounded.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::str::FromStr;
use zstd::bulk::Compressor;
use zstd::bulk::Decompressor;
use zstd::zstd_safe;
use zstd::zstd_safe::DParameter;

/// Largest window a frame may ask for, as a power of two.
const WINDOW_LOG_MAX: u32 = 27;
/// Inputs shorter than this are not worth probing.
const PROBE_BYTES_MIN: usize = 16 * 1024;
const ENTROPY_SAMPLES: usize = 16;
const ENTROPY_SAMPLE_BYTES: usize = 4 * 1024;
const ZSTD_SAMPLES: usize = 4;
const ZSTD_SAMPLE_BYTES: usize = 16 * 1024;
/// Bits a byte below which entropy coding alone saves enough.
const ENTROPY_CLEARLY_COMPRESSIBLE: f64 = 7.7;

/// How hard new chunks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    Off,
    /// zstd level 1.
    Fast,
    /// zstd level 3; what looks incompressible is stored.
    #[default]
    Auto,
    /// zstd level 19.
    Max,
    /// This zstd level, 1 to 22.
    Level(i32),
}

impl FromStr for Compression {
    type Err = Error;

    /// `off`, `fast`, `auto`, `max`, or a zstd level from 1 to 22.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => Ok(Self::Off),
            "fast" => Ok(Self::Fast),
            "auto" => Ok(Self::Auto),
            "max" => Ok(Self::Max),
            level => match level.parse() {
                Ok(level) if (1..=22).contains(&level) => Ok(Self::Level(level)),
                _ => Err(Error::new(Kind::Invalid, format!("compression `{text}` is not known"))
                    .because("it is one of off, fast, auto, max, or a zstd level from 1 to 22")),
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Fast => f.write_str("fast"),
            Self::Auto => f.write_str("auto"),
            Self::Max => f.write_str("max"),
            Self::Level(level) => write!(f, "{level}"),
        }
    }
}

/// Compresses one input after another; one for each worker.
pub(crate) struct Squeezer {
    compressor: Compressor<'static>,
}

impl Squeezer {
    /// Ready at a zstd level.
    pub(crate) fn new(level: i32) -> Result<Self> {
        Compressor::new(level).map(|compressor| Self { compressor }).map_err(|cause| failed(&cause))
    }

    /// Another level from now on.
    pub(crate) fn set_level(&mut self, level: i32) -> Result<()> {
        self.compressor.set_compression_level(level).map_err(|cause| failed(&cause))
    }

    /// Clears `into` and fills it with one zstd frame that states its content size. `false` when that is not smaller
    /// than `plain`: the caller stores `plain` (`into` is empty then).
    pub(crate) fn squeeze(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<bool> {
        into.clear();
        into.reserve(zstd_safe::compress_bound(plain.len()));
        self.compressor.compress_to_buffer(plain, into).map_err(|cause| failed(&cause))?;
        if into.len() < plain.len() {
            return Ok(true);
        }
        into.clear();
        Ok(false)
    }
}

fn failed(cause: &io::Error) -> Error {
    Error::new(Kind::Bug, "zstd does not compress").because(cause.to_string())
}

/// Decompresses one input after another; one for each worker.
pub(crate) struct Unsqueezer {
    /// Made at the first use.
    decompressor: Option<Decompressor<'static>>,
}

impl Unsqueezer {
    /// Ready.
    pub(crate) fn new() -> Self {
        Self { decompressor: None }
    }

    /// Clears `into` and fills it with exactly `plain_length` bytes, or leaves it empty and says why. Never makes room
    /// for more than `plain_length`, which the caller has compared with a limit. Exactly one frame, stating its
    /// content size, is accepted: there is no second way to say the same, and nothing to hide behind it.
    pub(crate) fn unsqueeze(&mut self, squeezed: &[u8], plain_length: usize, into: &mut Vec<u8>) -> Result<(), String> {
        into.clear();
        let frame = zstd_safe::find_frame_compressed_size(squeezed)
            .map_err(|code| format!("it is no zstd frame: {}", zstd_safe::get_error_name(code)))?;
        if frame != squeezed.len() {
            return Err("bytes follow its zstd frame".to_owned());
        }
        let stated = zstd_safe::get_frame_content_size(squeezed).ok().flatten();
        if stated.is_none_or(|stated| usize::try_from(stated) != Ok(plain_length)) {
            return Err(format!("its zstd frame is not one of {plain_length} plain bytes"));
        }
        into.reserve_exact(plain_length);
        let outcome = self.decompressor()?.decompress_to_buffer(squeezed, into).map_err(|cause| cause.to_string());
        match outcome {
            Ok(_) if into.len() == plain_length => Ok(()),
            other => {
                into.clear();
                other.and(Err("its plaintext has another length than stated".to_owned()))
            }
        }
    }

    fn decompressor(&mut self) -> Result<&mut Decompressor<'static>, String> {
        match &mut self.decompressor {
            Some(decompressor) => Ok(decompressor),
            empty => {
                let mut decompressor = Decompressor::new().map_err(|cause| cause.to_string())?;
                decompressor
                    .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                    .map_err(|cause| cause.to_string())?;
                Ok(empty.insert(decompressor))
            }
        }
    }
}

/// True when `bytes` look as if compressing them saved nothing (media, archives, encrypted files). First the entropy
/// of 16 samples of 4 KiB; when single bytes look random, zstd -5 over 4 samples of 16 KiB looks for repeats.
/// Below 16 KiB always false: a wrong guess would cost more than it saves.
pub(crate) fn is_incompressible(bytes: &[u8]) -> bool {
    if bytes.len() < PROBE_BYTES_MIN || entropy(bytes) < ENTROPY_CLEARLY_COMPRESSIBLE {
        return false;
    }
    PROBE.with_borrow_mut(|probe| {
        let (mut plain, mut squeezed) = (0, 0);
        for sample in samples(bytes, ZSTD_SAMPLES, ZSTD_SAMPLE_BYTES) {
            match probe.squeeze(sample) {
                Some(length) => squeezed += length,
                None => return false,
            }
            plain += sample.len();
        }
        // Less than one part in 32 saved.
        squeezed > plain - plain / 32
    })
}

thread_local! {
    static PROBE: RefCell<Probe> = const { RefCell::new(Probe { compressor: None, squeezed: Vec::new() }) };
}

/// The context of [`is_incompressible`], one a thread.
struct Probe {
    compressor: Option<Compressor<'static>>,
    squeezed: Vec<u8>,
}

impl Probe {
    /// Bytes that `sample` takes at level -5; `None` when zstd fails.
    fn squeeze(&mut self, sample: &[u8]) -> Option<usize> {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(-5).ok();
        }
        self.squeezed.clear();
        self.squeezed.reserve(zstd_safe::compress_bound(sample.len()));
        self.compressor.as_mut()?.compress_to_buffer(sample, &mut self.squeezed).ok()
    }
}

/// `count` stretches of at most `length` bytes, spread evenly from the first byte to the last.
fn samples(bytes: &[u8], count: usize, length: usize) -> impl Iterator<Item = &[u8]> {
    let length = length.min(bytes.len());
    let count = count.min((bytes.len() / length.max(1)).max(1));
    let room = bytes.len() - length;
    (0..count).filter_map(move |at| {
        let start = room * at / (count - 1).max(1);
        bytes.get(start..start + length)
    })
}

/// Shannon entropy of single bytes over the samples, in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    // Four counters side by side, so that runs of one byte do not wait for their own count.
    let mut counts = [[0u32; 256]; 4];
    for sample in samples(bytes, ENTROPY_SAMPLES, ENTROPY_SAMPLE_BYTES) {
        let mut fours = sample.chunks_exact(4);
        for four in &mut fours {
            for (count, byte) in counts.iter_mut().zip(four) {
                count[usize::from(*byte)] += 1;
            }
        }
        for byte in fours.remainder() {
            counts[0][usize::from(*byte)] += 1;
        }
    }
    let [a, b, c, d] = &counts;
    let sums = || a.iter().zip(b).zip(c.iter().zip(d)).map(|((a, b), (c, d))| f64::from(a + b + c + d));
    let total: f64 = sums().sum();
    sums().filter(|count| *count > 0.0).map(|count| count / total * (total / count).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;
    use crate::random::SeededRng;

    fn random(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        SeededRng::new(5).fill(&mut bytes).expect("seeded");
        bytes
    }

    fn text(length: usize) -> Vec<u8> {
        (0..).flat_map(|n: u32| format!("line {n} of a log file\n").into_bytes()).take(length).collect()
    }

    #[test]
    fn what_was_squeezed_comes_back_through_reused_contexts_and_buffers() {
        let mut squeezer = Squeezer::new(3).expect("zstd");
        let mut unsqueezer = Unsqueezer::new();
        let (mut squeezed, mut plain) = (Vec::new(), Vec::new());
        for (level, length) in [(3, 100_000), (1, 1000), (19, 2_000_000), (-5, 640), (3, 300_000)] {
            let bytes = text(length);
            squeezer.set_level(level).expect("zstd");
            assert!(squeezer.squeeze(&bytes, &mut squeezed).expect("zstd"));
            assert!(squeezed.len() < bytes.len());
            unsqueezer.unsqueeze(&squeezed, length, &mut plain).expect("a good frame");
            assert_eq!(plain, bytes);
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_to_be_stored() {
        let mut squeezer = Squeezer::new(3).expect("zstd");
        let mut into = b"left from before".to_vec();
        for plain in [random(100_000), Vec::new(), vec![1]] {
            assert!(!squeezer.squeeze(&plain, &mut into).expect("zstd"));
            assert!(into.is_empty());
        }
    }

    #[test]
    fn a_frame_of_another_length_is_refused_without_making_room_for_it() {
        let mut squeezed = Vec::new();
        Squeezer::new(3).expect("zstd").squeeze(&vec![0; 8 << 20], &mut squeezed).expect("zstd");
        let mut into = Vec::new();
        for length in [0, 1, (8 << 20) - 1, (8 << 20) + 1, usize::MAX] {
            Unsqueezer::new().unsqueeze(&squeezed, length, &mut into).expect_err("another length");
            assert_eq!(into.capacity(), 0);
        }
    }

    #[test]
    fn damaged_frames_are_errors_or_other_bytes_of_the_same_length_never_a_panic() {
        let plain = text(3000);
        let mut squeezed = Vec::new();
        Squeezer::new(3).expect("zstd").squeeze(&plain, &mut squeezed).expect("zstd");
        let mut unsqueezer = Unsqueezer::new();
        let mut into = Vec::new();
        for length in 0..squeezed.len() {
            unsqueezer.unsqueeze(&squeezed[..length], plain.len(), &mut into).expect_err("cut");
        }
        for bit in 0..squeezed.len() * 8 {
            let mut altered = squeezed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            match unsqueezer.unsqueeze(&altered, plain.len(), &mut into) {
                Ok(()) => assert_eq!(into.len(), plain.len()),
                Err(_) => assert!(into.is_empty()),
            }
        }
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        for wrong in [[&squeezed[..], &squeezed].concat(), [&squeezed[..], &skippable].concat(), skippable.to_vec()] {
            unsqueezer.unsqueeze(&wrong, plain.len(), &mut into).expect_err("more or less than one frame");
        }
        unsqueezer.unsqueeze(&squeezed, plain.len(), &mut into).expect("the context still works");
        assert_eq!(into, plain);
    }

    #[test]
    fn a_frame_without_its_size_or_of_many_blocks_is_bounded_as_well() {
        let plain = text(5000);
        let mut stream = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
        io::Write::write_all(&mut stream, &plain).expect("memory");
        let frame = stream.finish().expect("zstd");
        Unsqueezer::new().unsqueeze(&frame, plain.len(), &mut Vec::new()).expect_err("no content size");
    }

    #[test]
    fn the_probe_tells_random_bytes_from_text_and_repeats() {
        let noise = random(1 << 20);
        assert!(is_incompressible(&noise));
        assert!(is_incompressible(&noise[..PROBE_BYTES_MIN]));
        assert!(!is_incompressible(&noise[..PROBE_BYTES_MIN - 1]), "too short to tell");
        assert!(!is_incompressible(&text(1 << 20)));
        assert!(!is_incompressible(&vec![0; 1 << 20]));
        let repeats: Vec<u8> = noise[..1024].iter().copied().cycle().take(1 << 20).collect();
        assert!(entropy(&repeats) > 7.5 && !is_incompressible(&repeats));
        let mut zeros_in_noise = noise.clone();
        zeros_in_noise.chunks_mut(1000).for_each(|part| part[..200].fill(0));
        assert!(!is_incompressible(&zeros_in_noise));
    }

    #[test]
    fn samples_stay_inside_and_reach_both_ends() {
        for length in [1, 5, 4096, 4097, 65_535, 65_536, 1_000_003] {
            let bytes = vec![7; length];
            let all: Vec<&[u8]> = samples(&bytes, ENTROPY_SAMPLES, ENTROPY_SAMPLE_BYTES).collect();
            assert!(!all.is_empty() && all.len() <= ENTROPY_SAMPLES);
            assert!(all.iter().all(|sample| sample.len() == length.min(ENTROPY_SAMPLE_BYTES)));
            assert_eq!(all[0].as_ptr(), bytes.as_ptr());
        }
    }

    #[test]
    fn compression_is_spelled_one_way() {
        for text in ["off", "fast", "auto", "max", "1", "22"] {
            assert_eq!(text.parse::<Compression>().expect("known").to_string(), text);
        }
        for text in ["", "0", "23", "-5", "AUTO", "zstd"] {
            assert_eq!(text.parse::<Compression>().expect_err("unknown").kind(), Kind::Invalid, "{text}");
        }
        assert_eq!(Compression::default(), Compression::Auto);
    }
}
