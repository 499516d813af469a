//! Which system calls a guest may make: the policies of LXC (lxc.container.conf(5), version 2), as `raw.seccomp` has them (pure).
//!
//! ```text
//! 2
//! denylist                    or allowlist, with what befalls the other calls: allowlist errno 38
//! [all]                       the rules below are for calls of all architectures, or [x86_64], [x86], …
//! reject_force_umount
//! mkdir errno 1
//! clone errno 1 [0,268435456,SCMP_CMP_MASKED_EQ,268435456]
//! ```

/// Rules that a policy has at most.
const RULES: usize = 4096;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// What happens to calls without a rule.
    pub otherwise: Action,
    /// Rules, in order.
    pub rules: Vec<Rule>,
    /// Whether `umount2` with MNT_FORCE fails (EACCES): it would break network mounts shared with the host.
    pub reject_force_umount: bool,
    /// Whether the 32-bit calls that this machine has beside its own fail (ENOSYS).
    pub deny_compat: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Errno(i32),
    /// Its thread is killed (SIGSYS).
    Kill,
    /// Its process gets SIGSYS.
    Trap,
    /// The shim's worker decides ([`super::intercept`]).
    Notify,
}

/// What happens to calls of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The architecture in LXC's words, e.g. `x86_64`; `None` for all.
    pub architecture: Option<String>,
    /// The system call.
    pub name: String,
    /// What happens.
    pub action: Action,
    /// What its arguments must be for that: all of these.
    pub arguments: Vec<Argument>,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Its place, from 0 to 5.
    pub index: u32,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub value: u64,
}

/// A comparison (seccomp_rule_add(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Equal.
    Equal,
    /// Greater or equal.
    GreaterOrEqual,
    /// Greater.
    Greater,
    /// Equal in the bits of this mask.
    Masked(u64),
}

impl Policy {
    /// A list of what is denied, with nothing in it.
    pub fn denying() -> Policy {
        Policy { otherwise: Action::Allow, rules: Vec::new(), reject_force_umount: false, deny_compat: false }
    }

    /// A list of what is allowed, with nothing in it.
    pub fn allowing() -> Policy {
        Policy { otherwise: Action::Kill, ..Policy::denying() }
    }

    /// What LXD denies by default (its generated profile, measured): all fails with ENOSYS.
    pub fn usual() -> Policy {
        let names = ["kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"];
        let action = Action::Errno(libc::ENOSYS);
        let deny = |name: &&str| Rule { architecture: None, name: (*name).into(), action, arguments: Vec::new() };
        Policy { rules: names.iter().map(deny).collect(), reject_force_umount: true, ..Policy::denying() }
    }

    /// Reads a whole policy.
    ///
    /// # Errors
    /// The line that isn't understood.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let mut lines = text.lines().map(str::trim);
        match lines.next() {
            Some("2") => {}
            version => return Err(format!("A filter of version {:?} isn't understood", version.unwrap_or_default())),
        }
        let head = lines.next().unwrap_or_default();
        let (kind, action) = head.split_once(' ').unwrap_or((head, ""));
        let action = if action.trim().is_empty() { None } else { Some(self::action(action.trim(), head)?) };
        let (mut policy, ruled) = match kind {
            "allowlist" | "whitelist" => {
                let otherwise = action.unwrap_or(Action::Kill);
                (Policy { otherwise, ..Policy::allowing() }, Action::Allow)
            }
            "denylist" | "blacklist" => (Policy::denying(), action.unwrap_or(Action::Kill)),
            _ => return Err(wrong(head)),
        };
        policy.add(lines, ruled)?;
        Ok(policy)
    }

    /// Adds rules; `ruled` is what happens where they don't say it.
    ///
    /// # Errors
    /// The line that isn't understood.
    pub fn add<'a>(&mut self, lines: impl Iterator<Item = &'a str>, ruled: Action) -> Result<(), String> {
        let mut architecture = None;
        for line in lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                architecture = Some(name.to_ascii_lowercase()).filter(|name| name != "all");
                continue;
            }
            let line = line.split_once('#').map_or(line, |(rule, _)| rule.trim());
            if line == "reject_force_umount" {
                self.reject_force_umount = true;
                continue;
            }
            if self.rules.len() == RULES {
                return Err(format!("A filter has more than {RULES} rules"));
            }
            self.rules.push(rule(line, architecture.clone(), ruled)?);
        }
        Ok(())
    }
}

fn wrong(line: &str) -> String {
    format!("Invalid line in a system call filter: {line:?}")
}

fn rule(line: &str, architecture: Option<String>, ruled: Action) -> Result<Rule, String> {
    let (words, conditions) = line.split_at(line.find('[').unwrap_or(line.len()));
    let (name, action) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
    let action = if action.trim().is_empty() { ruled } else { self::action(action.trim(), line)? };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(wrong(line));
    }
    let mut arguments = Vec::new();
    let mut rest = conditions;
    while let Some(open) = rest.strip_prefix('[') {
        let (one, after) = open.split_once(']').ok_or_else(|| wrong(line))?;
        arguments.push(argument(one).ok_or_else(|| wrong(line))?);
        rest = after.trim_start_matches([',', ' ']);
    }
    if rest.is_empty() { Ok(Rule { architecture, name: name.into(), action, arguments }) } else { Err(wrong(line)) }
}

fn action(text: &str, line: &str) -> Result<Action, String> {
    let (word, number) = text.split_once(' ').unwrap_or((text, ""));
    match (word, number.trim()) {
        ("allow", "") => Ok(Action::Allow),
        ("kill", "") => Ok(Action::Kill),
        ("trap", "") => Ok(Action::Trap),
        ("errno", number) => {
            let number = number.parse().ok().filter(|n| (0..4096).contains(n));
            number.map(Action::Errno).ok_or_else(|| wrong(line))
        }
        ("notify", "") => Err(format!("Nobody is there to be notified: {line:?}")),
        _ => Err(wrong(line)),
    }
}

/// `INDEX,VALUE,COMPARISON` or `INDEX,VALUE,SCMP_CMP_MASKED_EQ,MASK`.
fn argument(text: &str) -> Option<Argument> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (index, value, compare) = (parts.first()?, parts.get(1)?, parts.get(2)?);
    let compare = match (*compare, parts.get(3)) {
        ("SCMP_CMP_NE" | "!=", None) => Compare::NotEqual,
        ("SCMP_CMP_LT" | "<", None) => Compare::Less,
        ("SCMP_CMP_LE" | "<=", None) => Compare::LessOrEqual,
        ("SCMP_CMP_EQ" | "==", None) => Compare::Equal,
        ("SCMP_CMP_GE" | ">=", None) => Compare::GreaterOrEqual,
        ("SCMP_CMP_GT" | ">", None) => Compare::Greater,
        ("SCMP_CMP_MASKED_EQ" | "&=", Some(mask)) => Compare::Masked(number(mask)?),
        _ => return None,
    };
    let index = index.parse().ok().filter(|index| *index < 6)?;
    (parts.len() <= 4).then_some(Argument { index, compare, value: number(value)? })
}

/// A number as C writes them.
fn number(text: &str) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_lxc_are_read() {
        let text = "2\ndenylist\n[all]\nreject_force_umount  # comment this to allow umount -f\n\n# x\nmkdir\n[x86_64]\n\
            clone errno 1 [0,0x10000000,SCMP_CMP_MASKED_EQ,0x10000000]\nmknod trap [1,-1,SCMP_CMP_EQ],[2,010,>=]\n";
        let policy = Policy::parse(text).unwrap();
        assert!(policy.reject_force_umount && policy.otherwise == Action::Allow);
        let told: Vec<_> = policy.rules.iter().map(|r| (r.architecture.as_deref(), &*r.name, r.action)).collect();
        let x = Some("x86_64");
        assert_eq!(told, [(None, "mkdir", Action::Kill), (x, "clone", Action::Errno(1)), (x, "mknod", Action::Trap)]);
        let masked = Argument { index: 0, compare: Compare::Masked(1 << 28), value: 1 << 28 };
        assert_eq!(policy.rules[1].arguments, [masked]);
        let greater = Argument { index: 2, compare: Compare::GreaterOrEqual, value: 8 };
        assert_eq!(policy.rules[2].arguments[1], greater);
        assert_eq!(policy.rules[2].arguments[0].value, u64::MAX);
        let policy = Policy::parse("2\nallowlist errno 38\nread\nwrite errno 5").unwrap();
        assert_eq!((policy.otherwise, policy.rules[0].action), (Action::Errno(38), Action::Allow));
        assert_eq!(Policy::parse("2\nwhitelist\nread").unwrap().otherwise, Action::Kill);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in [
            "",
            "1\nwhitelist\n0",
            "x",
            "2",
            "2\nnolist",
            "2\ndenylist foo",
            "2\ndenylist\nmkdir foo bar",
            "2\ndenylist\nmkdir errno x",
            "2\ndenylist\nmkdir errno 5000",
            "2\ndenylist\nmkdir notify",
            "2\ndenylist\nmkdir [6,0,SCMP_CMP_EQ]",
            "2\ndenylist\nmkdir [0,0,SCMP_CMP_MASKED_EQ]",
            "2\ndenylist\nmkdir [0,0,SCMP_CMP_EQ,1]",
            "2\ndenylist\nmkdir [0,0",
            "2\ndenylist\na-b",
        ] {
            assert!(Policy::parse(text).is_err(), "{text:?}");
        }
        assert!(Policy::parse(&format!("2\ndenylist\n{}", "read\n".repeat(RULES + 1))).is_err());
    }
}
