//! What goes wrong in the world: bad frames, bad settings, receivers that refuse, full disks, crowds. Each fault has a name, and
//! the hub goes on.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/frames.rs"]
mod frames;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/index.rs"]
mod index;
#[path = "faults/posts.rs"]
mod posts;
#[path = "faults/receivers.rs"]
mod receivers;
#[path = "faults/start.rs"]
mod start;
#[path = "faults/stop.rs"]
mod stop;
#[expect(dead_code, reason = "each of the test programs uses a part")]
mod support;
#[path = "faults/values.rs"]
mod values;
