//! A library that is loaded before the C library (`LD_PRELOAD`) and writes down what a program does to the files of one folder:
//! every write, truncation, sync, creation, removal and renaming, in the order in which they happened, with their bytes.
//!
//! `RECORD_FOLDER` names the folder, `RECORD_TO` the file that is appended to. Each record is one `write` to a file opened for
//! appending, so that other processes can put marks of their own between them. What a record means, and what a disk may make of
//! it, is left to the test that compiles this file by itself (it is no module of it).
//!
//! The calls are made through `syscall(2)`: asking for the C library's own functions would find the ones below. While one is
//! under way no other on the folder is, so that the record's order is the order of effects.

#![deny(warnings, unsafe_op_in_unsafe_fn, missing_docs)]

use std::ffi::{CStr, OsString, c_char, c_int, c_long, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Mutex, OnceLock, PoisonError};

unsafe extern "C" {
    /// syscall(2): sets `errno` as the call itself would.
    fn syscall(number: c_long, ...) -> c_long;
}

/// Numbers of system calls, from the kernel's tables.
#[cfg(target_arch = "x86_64")]
mod call {
    pub(super) const WRITE: i64 = 1;
    pub(super) const LSEEK: i64 = 8;
    pub(super) const PWRITE64: i64 = 18;
    pub(super) const WRITEV: i64 = 20;
    pub(super) const FSYNC: i64 = 74;
    pub(super) const FDATASYNC: i64 = 75;
    pub(super) const FTRUNCATE: i64 = 77;
    pub(super) const OPENAT: i64 = 257;
    pub(super) const UNLINKAT: i64 = 263;
    pub(super) const READLINKAT: i64 = 267;
    pub(super) const FACCESSAT: i64 = 269;
    pub(super) const RENAMEAT2: i64 = 316;
}

/// Numbers of system calls, from the kernel's tables.
#[cfg(target_arch = "aarch64")]
mod call {
    pub(super) const FACCESSAT: i64 = 48;
    pub(super) const OPENAT: i64 = 56;
    pub(super) const LSEEK: i64 = 62;
    pub(super) const WRITE: i64 = 64;
    pub(super) const WRITEV: i64 = 66;
    pub(super) const PWRITE64: i64 = 68;
    pub(super) const READLINKAT: i64 = 78;
    pub(super) const FSYNC: i64 = 82;
    pub(super) const FDATASYNC: i64 = 83;
    pub(super) const FTRUNCATE: i64 = 46;
    pub(super) const UNLINKAT: i64 = 35;
    pub(super) const RENAMEAT2: i64 = 276;
}

const AT_FDCWD: c_int = -100;
const O_WRONLY: c_int = 1;
const O_CREAT: c_int = 0o100;
const O_TRUNC: c_int = 0o1000;
const O_APPEND: c_int = 0o2000;
const O_CLOEXEC: c_int = 0o2_000_000;
const SEEK_CUR: c_int = 1;
/// Longer than any path of a test.
const PATH: usize = 4096;

/// One entry of a scatter list, as writev(2) has it.
#[repr(C)]
pub struct IoVec {
    base: *const c_void,
    len: usize,
}

struct Recorder {
    /// The folder with a slash behind it.
    folder: Vec<u8>,
    log: c_int,
    /// Held while a call on the folder is made and written down.
    order: Mutex<()>,
}

/// The recorder of this process; `None` where the variables are not set.
fn recorder() -> Option<&'static Recorder> {
    static RECORDER: OnceLock<Option<Recorder>> = OnceLock::new();
    RECORDER.get_or_init(Recorder::from_environment).as_ref()
}

impl Recorder {
    fn from_environment() -> Option<Self> {
        let (folder, log) = (std::env::var_os("RECORD_FOLDER")?, std::env::var_os("RECORD_TO")?);
        let mut path = OsString::into_vec(log);
        path.push(0);
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
        // SAFETY: openat(2) reads a path that ends in NUL.
        let log = unsafe { syscall(call::OPENAT, AT_FDCWD, path.as_ptr(), flags, 0o600) };
        let mut folder = folder.as_os_str().as_bytes().to_vec();
        folder.push(b'/');
        (log >= 0).then(|| Self { folder, log: log as c_int, order: Mutex::new(()) })
    }

    /// The name within the folder of a path: empty for the folder itself. What is rebuilt after a crash anyway has none.
    fn name<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let name = match path.strip_prefix(&*self.folder) {
            Some(name) => name,
            None if path == &self.folder[..self.folder.len() - 1] => &[],
            None => return None,
        };
        let is_passing = [&b"-shm"[..], b".lock", b" (deleted)"].iter().any(|end| name.ends_with(end));
        (!is_passing).then_some(name)
    }

    /// The name within the folder of what a descriptor stands for.
    fn name_of(&self, fd: c_int) -> Option<Vec<u8>> {
        let link = format!("/proc/self/fd/{fd}\0");
        let mut path = [0_u8; PATH];
        // SAFETY: readlinkat(2) reads a path that ends in NUL and writes at most `PATH` bytes.
        let len = unsafe { syscall(call::READLINKAT, AT_FDCWD, link.as_ptr(), path.as_mut_ptr(), PATH) };
        let path = path.get(..usize::try_from(len).ok()?)?;
        self.name(path).map(<[u8]>::to_vec)
    }

    fn append(&self, kind: u8, name: &[u8], number: u64, bytes: &[u8]) {
        let mut record = Vec::with_capacity(15 + name.len() + bytes.len());
        record.push(kind);
        record.extend_from_slice(&(name.len() as u16).to_le_bytes());
        record.extend_from_slice(name);
        record.extend_from_slice(&number.to_le_bytes());
        record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(bytes);
        // SAFETY: write(2) reads `record`, which outlives the call.
        let written = unsafe { syscall(call::WRITE, self.log, record.as_ptr(), record.len()) };
        if written != record.len() as c_long {
            // A record with a hole proves nothing.
            std::process::abort();
        }
    }

    /// Makes a call and, if it succeeds, writes it down before anything else happens in the folder.
    fn ordered(&self, make: impl FnOnce() -> c_long, note: impl FnOnce(&Self, c_long)) -> c_long {
        let _alone = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let done = make();
        if done >= 0 {
            note(self, done);
        }
        done
    }
}

/// Makes a call on a descriptor; if that stands for something in the folder, it is written down.
fn on_descriptor(fd: c_int, make: impl FnOnce() -> c_long, note: impl FnOnce(&Recorder, &[u8], c_long)) -> c_long {
    let known = recorder().and_then(|recorder| Some((recorder, recorder.name_of(fd)?)));
    match known {
        None => make(),
        Some((recorder, name)) => recorder.ordered(make, |recorder, done| note(recorder, &name, done)),
    }
}

/// `bytes` as far as they were written.
///
/// # Safety
/// `bytes` must point to at least `done` bytes.
unsafe fn written<'b>(bytes: *const c_void, done: c_long) -> &'b [u8] {
    // SAFETY: as the caller promises; a call that succeeded read them.
    unsafe { std::slice::from_raw_parts(bytes.cast(), done as usize) }
}

/// write(2).
///
/// # Safety
/// As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize {
    let make = || {
        // SAFETY: the caller's promise is write(2)'s.
        unsafe { syscall(call::WRITE, fd, bytes, len) }
    };
    let done = on_descriptor(fd, make, |recorder, name, done| {
        // SAFETY: lseek(2) takes no pointer.
        let end = unsafe { syscall(call::LSEEK, fd, 0_i64, SEEK_CUR) };
        // SAFETY: so many bytes were read from there just now.
        recorder.append(b'W', name, (end - done) as u64, unsafe { written(bytes, done) });
    });
    done as isize
}

/// pwrite(2).
///
/// # Safety
/// As pwrite(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, len: usize, at: i64) -> isize {
    let make = || {
        // SAFETY: the caller's promise is pwrite(2)'s.
        unsafe { syscall(call::PWRITE64, fd, bytes, len, at) }
    };
    let done = on_descriptor(fd, make, |recorder, name, done| {
        // SAFETY: so many bytes were read from there just now.
        recorder.append(b'W', name, at as u64, unsafe { written(bytes, done) });
    });
    done as isize
}

/// pwrite(2) under its older name.
///
/// # Safety
/// As pwrite(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, len: usize, at: i64) -> isize {
    // SAFETY: the same call.
    unsafe { pwrite64(fd, bytes, len, at) }
}

/// writev(2).
///
/// # Safety
/// As writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const IoVec, count: c_int) -> isize {
    let make = || {
        // SAFETY: the caller's promise is writev(2)'s.
        unsafe { syscall(call::WRITEV, fd, parts, count) }
    };
    let done = on_descriptor(fd, make, |recorder, name, done| {
        // SAFETY: lseek(2) takes no pointer.
        let end = unsafe { syscall(call::LSEEK, fd, 0_i64, SEEK_CUR) };
        // SAFETY: the call that succeeded read these very parts.
        let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
        let mut bytes = Vec::with_capacity(done as usize);
        for part in parts {
            let len = part.len.min(done as usize - bytes.len());
            // SAFETY: so many bytes of this part were read from there just now.
            bytes.extend_from_slice(unsafe { written(part.base, len as c_long) });
        }
        recorder.append(b'W', name, (end - done) as u64, &bytes);
    });
    done as isize
}

/// ftruncate(2).
///
/// # Safety
/// As ftruncate(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, len: i64) -> c_int {
    let make = || {
        // SAFETY: ftruncate(2) takes no pointer.
        unsafe { syscall(call::FTRUNCATE, fd, len) }
    };
    on_descriptor(fd, make, |recorder, name, _| recorder.append(b'T', name, len as u64, &[])) as c_int
}

/// ftruncate(2) under its older name.
///
/// # Safety
/// As ftruncate(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, len: i64) -> c_int {
    // SAFETY: the same call.
    unsafe { ftruncate64(fd, len) }
}

fn sync(fd: c_int, number: i64) -> c_int {
    let make = || {
        // SAFETY: fsync(2) and fdatasync(2) take no pointer.
        unsafe { syscall(number, fd) }
    };
    on_descriptor(fd, make, |recorder, name, _| recorder.append(b'S', name, 0, &[])) as c_int
}

/// fsync(2).
///
/// # Safety
/// As fsync(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, call::FSYNC)
}

/// fdatasync(2).
///
/// # Safety
/// As fdatasync(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, call::FDATASYNC)
}

/// open(2). It has a mode only where it makes a file; elsewhere what stands in the mode's place is not looked at.
///
/// # Safety
/// As open(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the caller's promise is open(2)'s.
    let make = || unsafe { syscall(call::OPENAT, AT_FDCWD, path, flags, mode) };
    // SAFETY: open(2) is given a path that ends in NUL.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let known = recorder().and_then(|recorder| Some((recorder, recorder.name(bytes)?)));
    let Some((recorder, name)) = known.filter(|_| flags & (O_CREAT | O_TRUNC) != 0) else { return make() as c_int };
    let mut was_there = false;
    let make = || {
        // SAFETY: faccessat(2) is given the same path.
        was_there = unsafe { syscall(call::FACCESSAT, AT_FDCWD, path, 0) } == 0;
        make()
    };
    let _alone = recorder.order.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = { make }();
    match (opened >= 0, was_there) {
        (true, false) => recorder.append(b'C', name, 0, &[]),
        (true, true) if flags & O_TRUNC != 0 => recorder.append(b'T', name, 0, &[]),
        _ => {}
    }
    opened as c_int
}

/// open(2) under its older name.
///
/// # Safety
/// As open(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    // SAFETY: the same call.
    unsafe { open64(path, flags, mode) }
}

/// unlink(2).
///
/// # Safety
/// As unlink(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let make = || {
        // SAFETY: the caller's promise is unlink(2)'s.
        unsafe { syscall(call::UNLINKAT, AT_FDCWD, path, 0) }
    };
    // SAFETY: unlink(2) is given a path that ends in NUL.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let known = recorder().and_then(|recorder| Some((recorder, recorder.name(bytes)?)));
    match known {
        None => make() as c_int,
        Some((recorder, name)) => recorder.ordered(make, |recorder, _| recorder.append(b'U', name, 0, &[])) as c_int,
    }
}

/// rename(2). One across the border of the folder is not expected and ends the program.
///
/// # Safety
/// As rename(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let make = || {
        // SAFETY: the caller's promise is rename(2)'s.
        unsafe { syscall(call::RENAMEAT2, AT_FDCWD, from, AT_FDCWD, to, 0) }
    };
    // SAFETY: rename(2) is given two paths that end in NUL.
    let (old, new) = unsafe { (CStr::from_ptr(from).to_bytes(), CStr::from_ptr(to).to_bytes()) };
    let Some(recorder) = recorder() else { return make() as c_int };
    match (recorder.name(old), recorder.name(new)) {
        (None, None) => make() as c_int,
        (Some(old), Some(new)) => recorder.ordered(make, |recorder, _| recorder.append(b'R', old, 0, new)) as c_int,
        _ => std::process::abort(),
    }
}
