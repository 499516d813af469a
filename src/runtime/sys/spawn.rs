//! Starting a helper: our own program again, from a process that has many threads (clone(2) as posix_spawn uses it).

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::fork::{CLONE_INTO_CGROUP, CloneArgs};

/// What is started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program file, open.
    pub program: BorrowedFd<'a>,
    /// Its arguments, the name first.
    pub args: &'a [&'a str],
    /// Its whole environment.
    pub env: &'a [(&'a str, &'a str)],
    /// Descriptors it gets as 0, 1, 2, …; it gets no others.
    pub fds: &'a [BorrowedFd<'a>],
    /// A cgroup v2 directory in which it begins.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A started helper.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id.
    pub pid: i32,
    /// Its handle; becomes readable when it ends, and is reaped by [`super::process::reap`].
    pub pidfd: OwnedFd,
}

/// The stack of the copy between clone and exec: it runs only [`child`], a few frames deep.
const STACK: usize = 64 * 1024;

struct Order {
    program: RawFd,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    fds: Vec<RawFd>,
    errno: c_int,
}

/// Starts it and returns once it has been executed, so an error of that is reported here.
///
/// The copy shares our memory until then and this thread is suspended (CLONE_VM, CLONE_VFORK): nothing is copied however big we
/// are. The helper starts in a session of its own with all signals blocked; [`super::signal::reset_all`] is its first act.
pub fn spawn(launch: &Launch<'_>) -> io::Result<Spawned> {
    let args = strings(launch.args.iter().map(|a| (*a).to_owned()))?;
    let env = strings(launch.env.iter().map(|(k, v)| format!("{k}={v}")))?;
    let mut order = Order {
        program: launch.program.as_raw_fd(),
        argv: pointers(&args),
        envp: pointers(&env),
        fds: launch.fds.iter().map(AsRawFd::as_raw_fd).collect(),
        errno: 0,
    };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: c_int = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.as_mut_ptr() as u64,
        stack_size: STACK as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = launch.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    let blocked = Blocked::all();
    // SAFETY: the child runs `child` on `stack`, which like `order`, `args` and `env` outlives it, because CLONE_VFORK suspends us
    // until it has executed or ended; it makes only system calls and touches no lock or allocator; all signals are blocked, so no
    // handler of ours runs in it.
    let pid = unsafe { clone3(&args, child, (&raw mut order).cast()) };
    drop(blocked);
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    // SAFETY: CLONE_PIDFD has stored a new descriptor of ours there.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if order.errno != 0 {
        super::process::reap(&pidfd, true)?;
        return Err(io::Error::from_raw_os_error(order.errno));
    }
    Ok(Spawned { pid: pid as i32, pidfd })
}

/// clone3(2) for a copy that begins with `entry(order)` on the stack named in `args` and ends with what that gives: the C library
/// has no wrapper for it. Gives the copy's id, or an error number below zero.
///
/// # Safety
/// `args` must describe a stack of the copy's own; `entry` and `order` must be fit for what the flags let it share.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, entry: extern "C" fn(*mut c_void) -> c_int, order: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the kernel changes rax, rcx and r11 alone. The copy comes out with a new stack pointer, aligned to 16 as a call wants it,
    // and never goes on behind this block.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "mov edi, eax",
            "mov eax, 60", // exit
            "syscall",
            "ud2",
            "2:",
            inout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") &raw const *args,
            in("rsi") size_of::<CloneArgs>(),
            in("r8") entry,
            in("r9") order,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The same there.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, entry: extern "C" fn(*mut c_void) -> c_int, order: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the kernel changes x0 alone. The copy comes out with a new stack pointer, aligned to 16 as a call wants it, and never
    // goes on behind this block.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x10",
            "blr x9",
            "mov x8, 93", // exit
            "svc 0",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inout("x0") &raw const *args as isize => result,
            in("x1") size_of::<CloneArgs>(),
            in("x9") entry,
            in("x10") order,
        );
    }
    result
}

/// What runs between clone and exec. Everything it touches was made ready by [`spawn`].
extern "C" fn child(order: *mut c_void) -> c_int {
    // SAFETY: `order` is the one of `spawn`, alive and used by nobody else while we run; every call is a bare system call on
    // numbers and on C strings kept by `spawn`; the descriptor table is our own copy.
    unsafe {
        let order = &mut *order.cast::<Order>();
        let count = order.fds.len() as c_int;
        // Out of the way first: a source may stand where another one's target is.
        for fd in &mut order.fds {
            *fd = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, count + 1);
        }
        let program = libc::fcntl(order.program, libc::F_DUPFD_CLOEXEC, count + 1);
        for (target, fd) in order.fds.iter().enumerate() {
            if libc::dup2(*fd, target as c_int) < 0 {
                return fail(order);
            }
        }
        if libc::dup3(program, count, libc::O_CLOEXEC) < 0 {
            return fail(order);
        }
        libc::syscall(libc::SYS_close_range, count + 1, u32::MAX, 0);
        libc::setsid();
        libc::syscall(
            libc::SYS_execveat,
            count,
            c"".as_ptr(),
            order.argv.as_ptr(),
            order.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        fail(order)
    }
}

fn fail(order: &mut Order) -> c_int {
    order.errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    127
}

fn strings(words: impl Iterator<Item = String>) -> io::Result<Vec<CString>> {
    words.map(|w| CString::new(w).map_err(io::Error::from)).collect()
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|w| w.as_ptr()).chain([std::ptr::null()]).collect()
}

/// All signals of this thread blocked until dropped.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Blocked {
        // SAFETY: both sets are plain memory that lives through the calls.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut old: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
            Blocked(old)
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `all`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut());
        }
    }
}

/// Executes a program of the guest in place of this process. Comes back only with the error.
///
/// `program` is a path, or a name that is looked for in `path` (execvp's rules: EACCES is remembered, a file without
/// a known format is given to `/bin/sh`).
pub fn execute(args: &[String], env: &[(String, String)], path: &str) -> io::Error {
    let prepared =
        strings(args.iter().cloned()).and_then(|a| Ok((a, strings(env.iter().map(|(k, v)| format!("{k}={v}")))?)));
    let (args, env) = match prepared {
        Ok(both) => both,
        Err(e) => return e,
    };
    let Some(name) = args.first() else { return io::Error::from_raw_os_error(libc::ENOENT) };
    let name = name.to_bytes();
    if name.is_empty() {
        return io::Error::from_raw_os_error(libc::ENOENT);
    }
    if name.contains(&b'/') {
        return execute_file(name, &args, &env);
    }
    let mut denied = false;
    for dir in path.split(':') {
        let dir = if dir.is_empty() { "." } else { dir };
        let file = [dir.as_bytes(), b"/", name].concat();
        match execute_file(&file, &args, &env) {
            e if e.raw_os_error() == Some(libc::EACCES) => denied = true,
            e if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP)) => {}
            e => return e,
        }
    }
    io::Error::from_raw_os_error(if denied { libc::EACCES } else { libc::ENOENT })
}

fn execute_file(file: &[u8], args: &[CString], env: &[CString]) -> io::Error {
    let Ok(file) = CString::new(file) else { return io::Error::from_raw_os_error(libc::EINVAL) };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: both arrays end in a null pointer and hold pointers to C strings that outlive the call.
    unsafe { libc::execve(file.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOEXEC) {
        return error;
    }
    let mut shell: Vec<*const c_char> = vec![c"/bin/sh".as_ptr(), file.as_ptr()];
    shell.extend(&argv[1..]);
    // SAFETY: as above.
    unsafe { libc::execve(c"/bin/sh".as_ptr(), shell.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;
    use crate::runtime::sys::process::{Ended, reap};

    #[test]
    fn a_helper_gets_exactly_its_descriptors_arguments_and_environment() {
        let program = File::open("/bin/sh").unwrap();
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let (out, into) = rustix::pipe::pipe().unwrap();
        let script = "echo $0 $A; ls /proc/self/fd; exit 7";
        let fds = [null.as_fd(), into.as_fd(), null.as_fd()];
        let args = ["lxbox", "-c", script, "zero"];
        let env = [("A", "b c"), ("PATH", "/bin:/usr/bin")];
        let started =
            spawn(&Launch { program: program.as_fd(), args: &args, env: &env, fds: &fds, cgroup: None }).unwrap();
        drop(into);
        let mut text = String::new();
        File::from(out).read_to_string(&mut text).unwrap();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["zero", "b", "c", "0", "1", "2", "3"]);
        assert_eq!(reap(&started.pidfd, true).unwrap(), Ended::Code(7).into());
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_reported() {
        let program = File::open("/etc/passwd").unwrap();
        let e =
            spawn(&Launch { program: program.as_fd(), args: &["x"], env: &[], fds: &[], cgroup: None }).unwrap_err();
        assert_eq!(e.raw_os_error(), Some(libc::EACCES));
    }
}
