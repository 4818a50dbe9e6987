//! The corpus of the fuzz target, as it is and mutated: packed bytes that are no longer what was packed, but have a right checksum,
//! give an error or other values, and never a panic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::float_cmp, reason = "small whole numbers")]

use nightbell_store::formats::{Buckets, Series, Unpacker, pack_chunk, pack_row};
use std::path::PathBuf;

const MUTANTS: u64 = 100_000;
const CHECKSUM: usize = 4;

/// Random numbers after Marsaglia's xorshift (<https://www.jstatsoft.org/v08/i14/>).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        let special = [0, 1, 2, 3, 8, 0x1f, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff];
        if self.below(2) == 0 { special[self.below(special.len())] } else { u8::try_from(self.below(256)).unwrap() }
    }

    /// Some bytes changed, put in, taken out, or taken from another.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.byte(),
                2 => bytes.insert(at, self.byte()),
                3 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
                4 => bytes.truncate(at),
                _ => {
                    let from = self.below(other.len());
                    bytes.splice(at.., other[from..].iter().copied());
                }
            }
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/packed_bytes")
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.file_name().unwrap().display().to_string(), std::fs::read(path).unwrap())).collect()
}

fn series(rows: u32) -> Vec<Series> {
    let series = |id, decimals, value: &dyn Fn(f64) -> f64| {
        let values = (0..rows).map(f64::from).map(value).collect();
        Series { id, decimals, values }
    };
    vec![
        series(0, 2, &|_| 3.25),
        series(1, 1, &|at| (at * 7_919.0 % 1_013.0) / 10.0),
        series(2, 0, &|at| if at % 13.0 == 0.0 { 70_000.0 * 4096.0 } else { 4096.0 * at }),
        series(3, 0, &|at| at * 15.0 + 1e6),
        series(5, 0, &|at| if at % 3.0 == 1.0 { f64::NAN } else { at }),
        series(6, 2, &|at| if at == 2.0 { -0.0 } else { at / 100.0 }),
        series(7, 2, &|at| at / 7.0),
        series(9, 2, &|at| at / 100_000.0),
    ]
}

/// One of each kind of packed bytes, without their checksums; what the corpus began with.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (rows, dense) in [(5_u32, false), (40, false), (70, true)] {
        let times: Vec<i64> = (0..i64::from(rows)).map(|row| 1_700_000_000_000 + row * 15_000 + row * 37 % 90).collect();
        let name = if dense { "dense" } else { "young" };
        seeds.push((format!("chunk-{name}-{rows}"), pack_chunk(&times, &series(rows), dense)));
        let buckets = Buckets::of(&times, &series(rows), 60_000);
        seeds.push((format!("buckets-v2-{name}-{rows}"), buckets.pack_chunk(dense)));
        seeds.push((format!("rollup-row-{rows}"), buckets.pack_rows().swap_remove(0)));
        seeds.push((format!("row-{rows}"), pack_row(&series(rows), 2)));
    }
    let times: Vec<i64> = (0..70).map(|row| row * 15_000).collect();
    for one in series(70) {
        seeds.push((format!("chunk-dense-series-{}", one.id), pack_chunk(&times, &[one], true)));
    }
    seeds.iter_mut().for_each(|(_, bytes)| bytes.truncate(bytes.len() - CHECKSUM));
    seeds
}

#[test]
fn the_corpus_holds_one_of_each_kind_and_all_of_it_is_read() {
    if std::env::var_os("NIGHTBELL_WRITE_FIXTURES").is_some() {
        let new = |(name, _): &&(String, Vec<u8>)| !folder().join(name).exists();
        seeds().iter().filter(new).for_each(|(name, bytes)| std::fs::write(folder().join(name), bytes).unwrap());
    }
    let (corpus, mut unpacker) = (corpus(), Unpacker::default());
    for (name, packed_today) in seeds() {
        let kept = corpus.iter().find(|(other, _)| *other == name);
        let (_, kept) = kept.unwrap_or_else(|| panic!("{name} is not in the corpus"));
        assert!(unpacker.probe(kept) > 0 && unpacker.probe(&packed_today) > 0, "{name} cannot be read");
    }
}

#[test]
fn no_mutant_of_the_corpus_is_fatal() {
    let (corpus, mut unpacker, mut chance) = (corpus(), Unpacker::default(), Chance(0x2545_f491_4f6c_dd1d));
    let whole = corpus.iter().filter(|(_, bytes)| unpacker.probe(bytes) > 0).count();
    assert!(whole > 0, "nothing of the corpus can be read");
    let (mut readable, mut mutant) = (0_u64, Vec::new());
    for _ in 0..MUTANTS {
        mutant.clone_from(&corpus[chance.below(corpus.len())].1);
        let other = chance.below(corpus.len());
        chance.mutate(&mut mutant, &corpus[other].1);
        readable += u64::from(unpacker.probe(&mutant) > 0);
    }
    assert!(MUTANTS / 100 < readable && readable < MUTANTS, "{readable} of {MUTANTS} mutants can be read: they miss their aim");
}
