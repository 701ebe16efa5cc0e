//! What happens where something in this process ends it (`exit`, in an experiment or a library of another language) while
//! repetitions are under way: its exit code is not the worker's.

use super::ghosts::UnderWay;
use nix::libc;
use std::sync::OnceLock;

/// At least one repetition crashed.
const CRASHED: libc::c_int = 1;

/// The process that is guarded: one that forks from it may end as it likes.
static GUARDED: OnceLock<u32> = OnceLock::new();

/// Makes every early end of this process one with the exit code of a crash.
pub(super) fn guard() {
    GUARDED.get_or_init(|| {
        #[expect(unsafe_code, reason = "the standard library has no hook for the end of the process")]
        // SAFETY: the function lives as long as the process, and does not unwind: nothing in it panics.
        unsafe {
            libc::atexit(at_exit);
        }
        std::process::id()
    });
}

extern "C" fn at_exit() {
    let under_way = if GUARDED.get() == Some(&std::process::id()) { UnderWay::count() } else { 0 };
    if under_way > 0 {
        log::error!(
            "something in this process called `exit` while repetitions were under way ({under_way}): they have not ended; an \
             experiment returns an error instead"
        );
        #[expect(unsafe_code, reason = "the exit code of a process that exits is changed in no other way")]
        // SAFETY: it takes no memory of this process, and does not return.
        unsafe {
            libc::_exit(CRASHED);
        }
    }
}
