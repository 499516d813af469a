//! `memcpy`, `memmove` and `memcmp` for the static file, in place of musl's.
//!
//! musl copies with one `rep movs` of any length, moves upwards byte by byte, and compares byte by byte. Strings of JSON
//! and keys of maps are some bytes long, so a list of instances spent a third of its time there. Here up to 128 bytes are
//! loaded whole before any is stored, more goes in blocks of 64, and pages go to the processor's own `rep movsb`.
//!
//! Nothing here may be turned into a call of itself: loops of copies have a barrier in them, the rest has no loops.

use std::arch::asm;
use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_storeu_si128};

/// From here on the processor's own copying is quicker than ours.
const LONG: usize = 2048;

/// C's names, for the one product they are made for; elsewhere the C library has better ones. Inlined at each call they would make
/// the file megabytes larger.
#[cfg(all(target_env = "musl", not(test)))]
mod exported {
    /// memcpy(3).
    ///
    /// # Safety
    /// As in C.
    #[inline(never)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { super::copy(to, from, len) }
    }

    /// memmove(3).
    ///
    /// # Safety
    /// As in C.
    #[inline(never)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { super::copy(to, from, len) }
    }

    /// memcmp(3).
    ///
    /// # Safety
    /// As in C.
    #[inline(never)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: the caller's promise is the same.
        unsafe { super::compare(a, b, len) }
    }

    /// bcmp(3): what compilers call when only equality is asked for.
    ///
    /// # Safety
    /// As in C.
    #[inline(never)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        // SAFETY: the caller's promise is the same.
        unsafe { super::compare(a, b, len) }
    }
}

/// Loads both ends as values of this type, which may overlap, before it stores them: right for all lengths from one to
/// two of them, whichever way the regions overlap.
macro_rules! ends {
    ($kind:ty, $to:expr, $from:expr, $len:expr) => {{
        let last = $len - size_of::<$kind>();
        let head = $from.cast::<$kind>().read_unaligned();
        let tail = $from.add(last).cast::<$kind>().read_unaligned();
        $to.cast::<$kind>().write_unaligned(head);
        $to.add(last).cast::<$kind>().write_unaligned(tail);
    }};
}

/// 64 bytes.
type Block = [__m128i; 4];

/// # Safety
/// 64 bytes can be read there.
#[inline(always)]
unsafe fn load(from: *const u8) -> Block {
    let from = from.cast::<__m128i>();
    // SAFETY: the caller's promise; no alignment is needed.
    unsafe {
        [
            _mm_loadu_si128(from),
            _mm_loadu_si128(from.add(1)),
            _mm_loadu_si128(from.add(2)),
            _mm_loadu_si128(from.add(3)),
        ]
    }
}

/// # Safety
/// 64 bytes can be written there.
#[inline(always)]
unsafe fn store(to: *mut u8, block: Block) {
    let to = to.cast::<__m128i>();
    // SAFETY: the caller's promise; no alignment is needed.
    unsafe {
        _mm_storeu_si128(to, block[0]);
        _mm_storeu_si128(to.add(1), block[1]);
        _mm_storeu_si128(to.add(2), block[2]);
        _mm_storeu_si128(to.add(3), block[3]);
    }
}

/// Copies `len` bytes, also where the regions overlap. Gives `to`.
///
/// # Safety
/// As for memmove(3).
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: every access is within `len` bytes of either region, which the caller promises to be there.
    unsafe {
        match len {
            0 => {}
            1 => *to = *from,
            2..=3 => ends!(u16, to, from, len),
            4..=7 => ends!(u32, to, from, len),
            8..=16 => ends!(u64, to, from, len),
            17..=32 => ends!(__m128i, to, from, len),
            33..=64 => {
                let from = from.cast::<__m128i>();
                let end = from.byte_add(len - 32);
                let (a, b) = (_mm_loadu_si128(from), _mm_loadu_si128(from.add(1)));
                let (c, d) = (_mm_loadu_si128(end), _mm_loadu_si128(end.add(1)));
                let to = to.cast::<__m128i>();
                let end = to.byte_add(len - 32);
                _mm_storeu_si128(to, a);
                _mm_storeu_si128(to.add(1), b);
                _mm_storeu_si128(end, c);
                _mm_storeu_si128(end.add(1), d);
            }
            65..=128 => {
                let (head, tail) = (load(from), load(from.add(len - 64)));
                store(to, head);
                store(to.add(len - 64), tail);
            }
            _ => copy_many(to, from, len),
        }
    }
    to
}

/// More than 128 bytes.
///
/// # Safety
/// As for [`copy`].
#[inline(never)]
unsafe fn copy_many(to: *mut u8, from: *const u8, len: usize) {
    let ahead = (to as usize).wrapping_sub(from as usize);
    // SAFETY: as in `copy`. Each direction reads what it would overwrite before it does: the far end before the loop,
    // the rest block by block.
    unsafe {
        if ahead >= len && len >= LONG {
            asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
                 options(nostack, preserves_flags));
        } else if ahead >= len {
            let tail = load(from.add(len - 64));
            let mut at = 0;
            while at < len - 64 {
                store(to.add(at), load(from.add(at)));
                asm!("", options(nostack, preserves_flags));
                at += 64;
            }
            store(to.add(len - 64), tail);
        } else {
            let head = load(from);
            let mut at = len;
            while at > 64 {
                at -= 64;
                store(to.add(at), load(from.add(at)));
                asm!("", options(nostack, preserves_flags));
            }
            store(to, head);
        }
    }
}

/// Below, at, or above zero as the first differing byte of `a` is below or above that of `b`.
///
/// # Safety
/// As for memcmp(3).
#[inline(always)]
unsafe fn compare(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: every access is within `len` bytes of either region, which the caller promises to be there.
    unsafe {
        let mut at = 0;
        while at + 16 <= len {
            let (x, y) = (_mm_loadu_si128(a.add(at).cast()), _mm_loadu_si128(b.add(at).cast()));
            let same = _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) as u32;
            if same != 0xffff {
                let at = at + same.trailing_ones() as usize;
                return i32::from(*a.add(at)) - i32::from(*b.add(at));
            }
            at += 16;
        }
        if len - at >= 8 {
            let (x, y) = (a.add(at).cast::<u64>().read_unaligned(), b.add(at).cast::<u64>().read_unaligned());
            if x != y {
                return order(x, y);
            }
            at += 8;
        }
        if len - at >= 4 {
            let (x, y) = (a.add(at).cast::<u32>().read_unaligned(), b.add(at).cast::<u32>().read_unaligned());
            if x != y {
                return order(x.into(), y.into());
            }
            at += 4;
        }
        while at < len {
            let (x, y) = (*a.add(at), *b.add(at));
            if x != y {
                return i32::from(x) - i32::from(y);
            }
            at += 1;
        }
        0
    }
}

/// How two words that differ compare as bytes in memory: the first byte is the highest.
fn order(x: u64, y: u64) -> i32 {
    if x.swap_bytes() < y.swap_bytes() { -1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..6000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn every_length_and_overlap_is_copied_as_the_standard_library_does() {
        let lens = (0..300).chain([511, 512, 1023, 2047, 2048, 2049, 2500]);
        for len in lens {
            for (from, to) in
                [(0, 3000), (1, 3007), (3000, 5), (64, 0), (0, 64), (7, 6), (6, 7), (0, 1), (130, 17), (17, 130)]
            {
                let (mut ours, mut wanted) = (bytes(), bytes());
                wanted.copy_within(from..from + len, to);
                let start = ours.as_mut_ptr();
                // SAFETY: both regions are within the vector.
                unsafe { copy(start.add(to), start.add(from), len) };
                assert!(ours == wanted, "{len} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn bytes_are_ordered_as_slices_are() {
        for len in 0..80 {
            let a = bytes()[..len].to_vec();
            // SAFETY: both are `len` bytes long.
            assert_eq!(unsafe { compare(a.as_ptr(), a.as_ptr(), len) }, 0);
            for at in 0..len {
                for change in [1u8, 0x80, 0xff] {
                    let mut b = a.clone();
                    b[at] = b[at].wrapping_add(change);
                    // SAFETY: both are `len` bytes long.
                    let got = unsafe { compare(a.as_ptr(), b.as_ptr(), len) };
                    assert_eq!(got.signum(), a.cmp(&b) as i32, "{len} bytes, another at {at}");
                }
            }
        }
    }
}
