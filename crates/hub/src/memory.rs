//! How many heaps the C library's allocator keeps: the one place that speaks to it.
//!
//! glibc gives each thread that allocates a heap of its own, up to eight a core, and what one heap has free is of no use to another.
//! More threads than there are cores cannot run, so one heap a core serves them as well; on two cores a fleet of
//! 1,000 agents × 100 series then takes some 5 MiB less. Other C libraries keep one heap and need nothing.

/// The least number of heaps: while the pipeline's thread allocates, another must be able to.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FEWEST_HEAPS: usize = 2;

/// What users set to choose for themselves; either is left to have its way.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SET_BY_USERS: [&str; 2] = ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"];

/// Bounds the number of heaps by that of cores. To be called before there is a second thread: heaps that exist stay.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
pub(crate) fn keep_few_heaps() {
    if SET_BY_USERS.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(FEWEST_HEAPS, usize::from);
    let heaps = libc::c_int::try_from(cores.max(FEWEST_HEAPS)).unwrap_or(libc::c_int::MAX);
    // SAFETY: `mallopt` takes two numbers and no pointer, and there is one thread yet. A value that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, heaps);
    }
}

/// Nothing to bound.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_few_heaps() {}
