//! Device rules on cgroup v2: a small program of the kernel's BPF, attached to the group (BPF_PROG_TYPE_CGROUP_DEVICE).
//!
//! The program compares type, access, major and minor number with each rule in turn and allows on the first match.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::program;
use crate::runtime::spec::cgroup::Group;

/// One rule in the words of cgroup v1: `c 1:3 rwm`, `b *:* m`, `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// BPF_DEVCG_DEV_BLOCK or _CHAR; `None` for both.
    kind: Option<u32>,
    major: Option<u32>,
    minor: Option<u32>,
    /// Bits of BPF_DEVCG_ACC_*: mknod 1, read 2, write 4.
    access: u32,
}

/// Attaches a program that allows what the rules say and nothing else to the v2 group, in the place of the one that is there.
pub(super) fn restrict(groups: &[Group], rules: &[String]) -> io::Result<()> {
    let group = groups.iter().find(|g| g.unified).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let parsed: Option<Vec<Rule>> = rules.iter().map(|r| parse(r)).collect();
    let parsed = parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a device rule is wrong"))?;
    let program = program::load(&assemble(&parsed), b"Apache-2.0")?;
    let directory = OwnedFd::from(File::open(&group.path)?);
    let replaced = program::attached(&directory)?;
    let flags = program::ALLOW_MULTI | replaced.as_ref().map_or(0, |_| program::REPLACE);
    program::change(&program, &directory, program::Change::Attach { flags, replaced })
}

fn parse(text: &str) -> Option<Rule> {
    let mut words = text.split_whitespace();
    let kind = match words.next()? {
        "a" => return Some(Rule { kind: None, major: None, minor: None, access: 7 }),
        "b" => Some(1),
        "c" => Some(2),
        _ => return None,
    };
    let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = words.next()?.bytes().try_fold(0, |bits, letter| match letter {
        b'm' => Some(bits | 1),
        b'r' => Some(bits | 2),
        b'w' => Some(bits | 4),
        _ => None,
    })?;
    Some(Rule { kind, major: number(major)?, minor: number(minor)?, access })
}

/// One instruction: code, registers (source << 4 | destination), offset, constant (bpf(2), `struct bpf_insn`).
type Instruction = (u8, u8, i16, i32);

/// r1 is the context: u32 access_type (access << 16 | kind), u32 major, u32 minor.
fn assemble(rules: &[Rule]) -> Vec<u8> {
    let mut code: Vec<Instruction> = vec![
        (0x61, 0x12, 0, 0),      // r2 = access_type
        (0xbf, 0x23, 0, 0),      // r3 = r2
        (0x57, 0x02, 0, 0xffff), // r2 &= 0xffff: the kind
        (0x77, 0x03, 0, 16),     // r3 >>= 16: the access
        (0x61, 0x14, 4, 0),      // r4 = major
        (0x61, 0x15, 8, 0),      // r5 = minor
    ];
    for rule in rules {
        let mut tests: Vec<Instruction> = Vec::new();
        if let Some(kind) = rule.kind {
            tests.push((0x55, 0x02, 0, kind as i32)); // kind != wanted: next rule
        }
        if rule.access != 7 {
            tests.push((0xbf, 0x31, 0, 0)); // r1 = access
            tests.push((0x57, 0x01, 0, !rule.access as i32 & 7)); // r1 &= what the rule doesn't allow
            tests.push((0x55, 0x01, 0, 0)); // anything left: next rule
        }
        if let Some(major) = rule.major {
            tests.push((0x55, 0x04, 0, major as i32));
        }
        if let Some(minor) = rule.minor {
            tests.push((0x55, 0x05, 0, minor as i32));
        }
        tests.push((0xb7, 0x00, 0, 1)); // r0 = 1: allowed
        tests.push((0x95, 0, 0, 0)); // exit
        let end = tests.len();
        for (i, test) in tests.iter_mut().enumerate().filter(|(_, t)| t.0 == 0x55) {
            test.2 = (end - i - 1) as i16;
        }
        code.extend(tests);
    }
    code.extend([(0xb7, 0, 0, 0), (0x95, 0, 0, 0)]);
    let bytes = |(op, regs, off, imm): Instruction| {
        let [o0, o1] = off.to_ne_bytes();
        let [i0, i1, i2, i3] = imm.to_ne_bytes();
        [op, regs, o0, o1, i0, i1, i2, i3]
    };
    code.into_iter().flat_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs root and a mounted hierarchy of v2, as of any host that runs containers; elsewhere nothing is tried.
    #[test]
    fn a_groups_program_is_replaced_and_gets_no_second_beside_it() {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let base = mounts.lines().find_map(|line| line.strip_prefix("cgroup2 ")?.split(' ').next());
        let path =
            std::path::Path::new(base.unwrap_or("/nosuch")).join(format!("lxbox-devices-{}", std::process::id()));
        if std::fs::create_dir(&path).is_err() {
            return;
        }
        let groups = [Group { unified: true, controllers: Vec::new(), path: path.clone(), inode: 0 }];
        let seen = ["c 1:3 rwm", "c 1:5 rwm"].map(|rule| {
            restrict(&groups, &[rule.to_owned()])?;
            program::programs(&File::open(&path)?.into())
        });
        std::fs::remove_dir(&path).unwrap();
        let [first, second] = seen.map(Result::unwrap);
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(first, second);
    }

    #[test]
    fn rules_are_those_of_v1() {
        assert_eq!(parse("c 1:3 rwm"), Some(Rule { kind: Some(2), major: Some(1), minor: Some(3), access: 7 }));
        assert_eq!(parse("b *:* m"), Some(Rule { kind: Some(1), major: None, minor: None, access: 1 }));
        assert_eq!(parse("a").unwrap().access, 7);
        assert!(
            parse("x 1:1 r").is_none() && parse("c 1 r").is_none() && parse("c 1:1 q").is_none() && parse("").is_none()
        );
    }

    /// Runs the program as the kernel would.
    fn allows(code: &[u8], kind: u32, access: u32, (major, minor): (u32, u32)) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut regs = [0u64; 11];
        let mut pc = 0usize;
        loop {
            let at = &code[pc * 8..pc * 8 + 8];
            let (dst, src) = ((at[1] & 15) as usize, (at[1] >> 4) as usize);
            let off = i16::from_ne_bytes([at[2], at[3]]);
            let imm = i32::from_ne_bytes([at[4], at[5], at[6], at[7]]);
            pc += 1;
            match at[0] {
                0x61 => regs[dst] = context[off as usize / 4].into(),
                0xbf => regs[dst] = regs[src],
                0x57 => regs[dst] &= imm as u64,
                0x77 => regs[dst] >>= imm,
                0xb7 => regs[dst] = imm as u64,
                0x55 if regs[dst] != imm as u64 => pc = (pc as i64 + i64::from(off)) as usize,
                0x55 => {}
                0x95 => return regs[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_allows_exactly_what_the_rules_say() {
        let rules: Vec<Rule> = ["c 1:3 rwm", "b *:* m", "c 136:* rw"].iter().map(|r| parse(r).unwrap()).collect();
        let code = assemble(&rules);
        assert!(allows(&code, 2, 7, (1, 3)) && allows(&code, 2, 2, (1, 3)));
        assert!(!allows(&code, 2, 2, (1, 4)) && !allows(&code, 1, 2, (1, 3)));
        assert!(allows(&code, 1, 1, (8, 0)) && !allows(&code, 1, 3, (8, 0)));
        assert!(allows(&code, 2, 6, (136, 9)) && !allows(&code, 2, 1, (136, 9)));
    }
}
