//! Seccomp filters: compiled by libseccomp in the daemon, loaded as finished BPF by helpers (seccomp(2)).
//!
//! So helpers need neither libseccomp's time nor its memory, and a container's `exec` gets the very same filter.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

use crate::error::{Ctx, Error, Kind, Result};
use crate::runtime::spec::syscalls::{Action, Argument, Compare, Policy, Rule};

/// Compiles a policy for this machine and the 32-bit systems it can run, as hex of the `struct sock_filter` array.
///
/// Takes about a millisecond.
///
/// # Errors
/// [`Kind::Invalid`] for an unknown system call; libseccomp's own.
pub fn compile(policy: &Policy) -> Result<String> {
    let (native, others) = architectures();
    let mut filter = rules(policy, native)?;
    if !policy.deny_compat {
        for other in others {
            filter.merge(rules(policy, *other)?).ctx(Kind::Internal, FAILED)?;
        }
    }
    export(&filter)
}

const FAILED: fn() -> &'static str = || "Failed compiling the system call filter";

/// This machine's own architecture, and those it has beside it.
fn architectures() -> (ScmpArch, &'static [ScmpArch]) {
    let native = ScmpArch::native();
    let others: &[ScmpArch] = match native {
        ScmpArch::X8664 => &[ScmpArch::X86, ScmpArch::X32],
        ScmpArch::Aarch64 => &[ScmpArch::Arm],
        _ => &[],
    };
    (native, others)
}

/// LXC's word for an architecture.
fn word(architecture: ScmpArch) -> &'static str {
    match architecture {
        ScmpArch::X8664 => "x86_64",
        ScmpArch::X86 => "x86",
        ScmpArch::X32 => "x32",
        ScmpArch::Aarch64 => "arm64",
        ScmpArch::Arm => "arm",
        _ => "all",
    }
}

/// The rules for the calls of one architecture.
fn rules(policy: &Policy, architecture: ScmpArch) -> Result<ScmpFilterContext> {
    let mut filter = empty(policy, architecture).ctx(Kind::Internal, FAILED)?;
    if policy.reject_force_umount {
        let force = libc::MNT_FORCE as u64;
        let forced = ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(force), force);
        let umount = ScmpSyscall::from_name("umount2").ctx(Kind::Internal, FAILED)?;
        filter.add_rule_conditional(ScmpAction::Errno(libc::EACCES), umount, &[forced]).ctx(Kind::Internal, FAILED)?;
    }
    let here = |rule: &&Rule| rule.architecture.as_deref().is_none_or(|wanted| wanted == word(architecture));
    for rule in policy.rules.iter().filter(here) {
        let action = action(rule.action);
        if action == self::action(policy.otherwise) {
            // libseccomp refuses what changes nothing.
            continue;
        }
        let call = ScmpSyscall::from_name(&rule.name);
        let call = call.map_err(|_| Error::invalid(format!("Unknown system call {:?}", rule.name)))?;
        let conditions: Vec<_> = rule.arguments.iter().map(condition).collect();
        filter
            .add_rule_conditional(action, call, &conditions)
            .ctx(Kind::Invalid, || format!("Failed adding the rule for system call {:?}", rule.name))?;
    }
    Ok(filter)
}

fn empty(
    policy: &Policy,
    architecture: ScmpArch,
) -> std::result::Result<ScmpFilterContext, libseccomp::error::SeccompError> {
    let mut filter = ScmpFilterContext::new(action(policy.otherwise))?;
    if architecture != ScmpArch::native() {
        filter.add_arch(architecture)?;
        filter.remove_arch(ScmpArch::native())?;
    }
    filter.set_ctl_nnp(false)?;
    // There is nothing to deny by name in an architecture not listed: it goes as LXC has it, and where calls are allowed by name as
    // those that aren't.
    filter.set_act_badarch(match policy.deny_compat {
        true => ScmpAction::Errno(libc::ENOSYS),
        false => action(policy.otherwise),
    })?;
    Ok(filter)
}

fn action(action: Action) -> ScmpAction {
    match action {
        Action::Allow => ScmpAction::Allow,
        Action::Errno(number) => ScmpAction::Errno(number),
        Action::Kill => ScmpAction::KillThread,
        Action::Trap => ScmpAction::Trap,
        Action::Notify => ScmpAction::Notify,
    }
}

fn condition(argument: &Argument) -> ScmpArgCompare {
    let how = match argument.compare {
        Compare::NotEqual => ScmpCompareOp::NotEqual,
        Compare::Less => ScmpCompareOp::Less,
        Compare::LessOrEqual => ScmpCompareOp::LessOrEqual,
        Compare::Equal => ScmpCompareOp::Equal,
        Compare::GreaterOrEqual => ScmpCompareOp::GreaterEqual,
        Compare::Greater => ScmpCompareOp::Greater,
        Compare::Masked(mask) => ScmpCompareOp::MaskedEqual(mask),
    };
    ScmpArgCompare::new(argument.index, how, argument.value)
}

/// Compiles a filter for a helper of ours that needs only these system calls; all others fail with EPERM. Files can be opened for
/// reading alone. As hex, like [`compile`].
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

/// The same, once for as long as `compiled` lives.
pub fn compile_allowed_once(compiled: &OnceLock<String>, calls: &[&str]) -> Result<String> {
    if let Some(filter) = compiled.get() {
        return Ok(filter.clone());
    }
    let filter = compile_allowed(calls)?;
    Ok(compiled.get_or_init(|| filter).clone())
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

/// Puts a filter made by [`compile`] in force for this process and all it executes. Empty text does nothing.
///
/// Needs CAP_SYS_ADMIN in the user namespace or no_new_privs.
pub fn load(hex: &str) -> io::Result<()> {
    if hex.is_empty() {
        return Ok(());
    }
    with_program(hex, |program| {
        // SAFETY: `program` points to instructions that live through the call; the kernel checks the program itself.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(program)) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    })
}

/// As [`load`], for a filter with calls that somebody else decides on: gives the listener through which they come.
pub fn load_listening(hex: &str) -> io::Result<OwnedFd> {
    with_program(hex, super::notify::listen)
}

fn with_program<T>(hex: &str, load: impl FnOnce(&libc::sock_fprog) -> io::Result<T>) -> io::Result<T> {
    let code = parse_hex(hex).filter(|code| code.len() % size_of::<libc::sock_filter>() == 0);
    let code = code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the seccomp filter is damaged"))?;
    let mut filters: Vec<libc::sock_filter> =
        code.chunks_exact(size_of::<libc::sock_filter>()).map(instruction).collect();
    let len = u16::try_from(filters.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    load(&libc::sock_fprog { len, filter: filters.as_mut_ptr() })
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
    fn policies_compile_to_whole_instructions() {
        let default = compile(&Policy::usual()).unwrap();
        assert_eq!(default.len() % 16, 0);
        assert!(default.len() > 16 * 10, "{default}");
        let text =
            "2\nallowlist errno 1\n[all]\nread\n[x86_64]\nwrite allow [0,1,SCMP_CMP_EQ]\n[arm]\nwrite\n[x86]\nreboot";
        let allowing = compile(&Policy::parse(text).unwrap()).unwrap();
        let strict = compile(&Policy { deny_compat: true, ..Policy::parse(text).unwrap() }).unwrap();
        assert!(allowing != default && strict.len() < allowing.len());
    }

    #[test]
    fn an_unknown_system_call_is_an_error() {
        let error = compile(&Policy::parse("2\ndenylist\nno_such_call").unwrap()).unwrap_err();
        assert_eq!(error.message(), "Unknown system call \"no_such_call\"");
    }

    #[test]
    fn damaged_filters_are_refused() {
        assert!(load("0").is_err() && load("zz").is_err() && load("0102").is_err());
        assert!(load("").is_ok());
    }
}
