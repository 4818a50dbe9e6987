//! Looking at pictures: that they decode, how large they are, and that something is drawn on them.

use std::collections::HashSet;

/// A decoded PNG.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// How many different colours there are; a blank sheet has one.
    pub(crate) colours: usize,
}

/// Decodes a PNG, which has to be one.
pub(crate) fn decode(png: &[u8]) -> Picture {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size that fits")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    let samples = frame.color_type.samples();
    let colours: HashSet<&[u8]> = pixels[..frame.buffer_size()].chunks_exact(samples).collect();
    Picture { width: frame.width, height: frame.height, colours: colours.len() }
}
