//! The pages of our own program file that this process has mapped.

use std::ffi::c_void;
use std::time::Duration;

/// How long nothing should have happened before a helper gives its pages back.
pub const QUIET: Duration = Duration::from_secs(1);

/// Gives back all of them: what is needed of the program comes back by a fault each, from the page cache, without the disk.
///
/// A fault maps 64 KiB around it (`fault_around_bytes`), so a process that has run through little of a large program holds
/// megabytes of it. Only segments that can't be written to, which are as in the file at any time. Microseconds.
pub fn forget_pages() {
    // SAFETY: the callback fits the signature, reads what it is handed during its call alone, and unwinds for nothing.
    unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

/// The first object there is: the program. Anything but zero ends the walk.
unsafe extern "C" fn forget(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> libc::c_int {
    // SAFETY: dl_iterate_phdr(3) hands over a valid object, whose headers are as many as it says.
    let (base, headers) = unsafe {
        let info = &*info;
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()))
    };
    // SAFETY: it has no preconditions. (rustix opens files for the answer, which the net helper's filter is in the way of.)
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    for header in headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0) {
        let from = (base + header.p_vaddr) / page * page;
        let len = base + header.p_vaddr + header.p_memsz - from;
        // SAFETY: a whole segment of the program that nobody can have written to, so that its pages come back from the file as
        // they are now, at any access.
        unsafe { libc::madvise(from as *mut c_void, len as usize, libc::MADV_DONTNEED) };
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of files that are mapped here, in kB.
    fn mapped() -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let of = |name: &str| -> u64 {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        of("Rss:") - of("Anonymous:")
    }

    #[test]
    fn a_program_goes_on_without_the_pages_it_gave_back() {
        let before = mapped();
        forget_pages();
        let after = mapped();
        assert!(after < before, "{after} of {before} kB");
    }
}
