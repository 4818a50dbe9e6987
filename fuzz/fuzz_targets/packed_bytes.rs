//! Any bytes as each of the packed formats, with a checksum that is right: reading must neither panic nor take much memory.
//! What is in `corpus/` is run by an ordinary test as well, with mutations (`crates/store/tests/corpus.rs`).

#![no_main]

use libfuzzer_sys::fuzz_target;
use nightbell_store::formats::Unpacker;

fuzz_target!(|bytes: &[u8]| {
    Unpacker::default().probe(bytes);
});
