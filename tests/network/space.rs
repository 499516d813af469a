//! A network namespace of the test's own, and the programs everybody knows to look into it with.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace that is gone when this is dropped.
pub struct Space(File);

impl Space {
    /// A new one, with nothing but a loopback that is down.
    pub fn new() -> Space {
        // A program that says it is there, and stays until nobody could say anything to it any more.
        let mut program = Command::new("unshare");
        program.args(["-n", "sh", "-c", "echo there; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().unwrap();
        let mut said = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut said).expect("tests of networks need root");
        let space = File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        Space(space)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Runs `work` on a thread in this namespace; a failed assertion in it fails the test.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            move_into_link_name_space(self.fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        match std::thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(done) => done,
            Err(failure) => std::panic::resume_unwind(failure),
        }
    }

    /// What a program says that is run in this namespace; it must succeed.
    pub fn say(&self, words: &str) -> String {
        let (text, success) = self.run(words);
        assert!(success, "{words}: {text}");
        text
    }

    /// What a program says, and whether it succeeded.
    pub fn run(&self, words: &str) -> (String, bool) {
        let output = self.enter(|| {
            let mut words = words.split_whitespace();
            Command::new(words.next().unwrap()).args(words).output().unwrap()
        });
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.success())
    }
}
