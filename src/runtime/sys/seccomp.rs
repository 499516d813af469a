//! Seccomp filters: compiled by libseccomp in the daemon, loaded as finished BPF by helpers (seccomp(2)).
//!
//! So helpers need neither libseccomp's time nor its memory, and a container's `exec` gets the very same filter.

use std::io;

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

use crate::error::{Ctx, Kind, Result};

/// What is denied in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// System calls by name that fail with this error number.
    pub deny: Vec<(String, i32)>,
    /// Whether `umount2` with MNT_FORCE fails (EACCES): it would break network mounts shared with the host.
    pub reject_force_umount: bool,
}

impl Policy {
    /// LXD's default deny list (its generated profile, measured): all fail with ENOSYS.
    pub fn lxd_default() -> Policy {
        let names = ["kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"];
        Policy { deny: names.iter().map(|n| ((*n).to_owned(), libc::ENOSYS)).collect(), reject_force_umount: true }
    }

    /// Compiles it for this machine and the 32-bit systems it can run, as hex of the `struct sock_filter` array.
    ///
    /// Error: an unknown system call, or libseccomp's own. Takes about a millisecond; the daemon keeps the result.
    pub fn compile(&self) -> Result<String> {
        export(&self.filter().ctx(Kind::Internal, || "Failed compiling the seccomp policy")?)
    }

    fn filter(&self) -> std::result::Result<ScmpFilterContext, libseccomp::error::SeccompError> {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
        let native = ScmpArch::native();
        let others: &[ScmpArch] = match native {
            ScmpArch::X8664 => &[ScmpArch::X86, ScmpArch::X32],
            ScmpArch::Aarch64 => &[ScmpArch::Arm],
            _ => &[],
        };
        for arch in others {
            filter.add_arch(*arch)?;
        }
        filter.set_ctl_nnp(false)?;
        // A system call of an architecture not listed is let through as LXC does it: there is nothing to deny by name there.
        filter.set_act_badarch(ScmpAction::Allow)?;
        if self.reject_force_umount {
            let forced =
                ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(libc::MNT_FORCE as u64), libc::MNT_FORCE as u64);
            filter.add_rule_conditional(
                ScmpAction::Errno(libc::EACCES),
                ScmpSyscall::from_name("umount2")?,
                &[forced],
            )?;
        }
        for (name, errno) in &self.deny {
            filter.add_rule(ScmpAction::Errno(*errno), ScmpSyscall::from_name(name)?)?;
        }
        Ok(filter)
    }
}

/// Compiles a filter for a helper of ours that needs only these system calls; all others fail with EPERM. Files can be opened for
/// reading alone. As hex, like [`Policy::compile`].
///
/// Names that this machine doesn't have are left out.
pub fn compile_allowed(calls: &[&str]) -> Result<String> {
    let failed = || "Failed compiling the seccomp filter of a helper";
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM)).ctx(Kind::Internal, failed)?;
    filter.set_ctl_nnp(false).ctx(Kind::Internal, failed)?;
    for call in calls {
        if let Ok(call) = ScmpSyscall::from_name(call) {
            filter.add_rule(ScmpAction::Allow, call).ctx(Kind::Internal, failed)?;
        }
    }
    // O_RDONLY is 0: none of these bits may be there.
    let writing = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
    for (name, argument) in [("open", 1), ("openat", 2)] {
        let Ok(call) = ScmpSyscall::from_name(name) else { continue };
        let reading = ScmpArgCompare::new(argument, ScmpCompareOp::MaskedEqual(writing), 0);
        filter.add_rule_conditional(ScmpAction::Allow, call, &[reading]).ctx(Kind::Internal, failed)?;
    }
    export(&filter)
}

fn export(filter: &ScmpFilterContext) -> Result<String> {
    let file = rustix::fs::memfd_create("seccomp", rustix::fs::MemfdFlags::CLOEXEC)
        .ctx(Kind::Internal, || "Failed creating a memory file")?;
    filter.export_bpf(&file).ctx(Kind::Internal, || "Failed exporting the seccomp policy")?;
    let mut file = std::fs::File::from(file);
    let mut code = Vec::new();
    io::Seek::rewind(&mut file)
        .and_then(|()| io::Read::read_to_end(&mut file, &mut code))
        .ctx(Kind::Internal, || "Failed reading the seccomp policy")?;
    Ok(code.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Puts a filter made by [`Policy::compile`] in force for this process and all it executes. Empty text does nothing.
///
/// Needs CAP_SYS_ADMIN in the user namespace or no_new_privs.
pub fn load(hex: &str) -> io::Result<()> {
    if hex.is_empty() {
        return Ok(());
    }
    let code = parse_hex(hex).filter(|code| code.len() % size_of::<libc::sock_filter>() == 0);
    let code = code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the seccomp filter is damaged"))?;
    let mut filters: Vec<libc::sock_filter> =
        code.chunks_exact(size_of::<libc::sock_filter>()).map(instruction).collect();
    let len = u16::try_from(filters.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let program = libc::sock_fprog { len, filter: filters.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that live through the call; the kernel checks the program itself.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One instruction from its eight bytes, in this machine's byte order (that is how libseccomp writes them).
fn instruction(bytes: &[u8]) -> libc::sock_filter {
    let word = |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    libc::sock_filter { code: u16::from_ne_bytes([bytes[0], bytes[1]]), jt: bytes[2], jf: bytes[3], k: word(4) }
}

fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_compiles_to_whole_instructions() {
        let hex = Policy::lxd_default().compile().unwrap();
        assert_eq!(hex.len() % 16, 0);
        assert!(hex.len() > 16 * 10, "{hex}");
    }

    #[test]
    fn an_unknown_system_call_is_an_error() {
        let policy = Policy { deny: vec![("no_such_call".into(), 1)], reject_force_umount: false };
        assert!(policy.compile().is_err());
    }

    #[test]
    fn damaged_filters_are_refused() {
        assert!(load("0").is_err() && load("zz").is_err() && load("0102").is_err());
        assert!(load("").is_ok());
    }
}
