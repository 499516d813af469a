//! Names of processor architectures, as LXD 5.0.2 takes and gives them.

/// LXD's name, then the other names that it takes for it (asked of LXD 5.0.2, name by name).
const NAMES: &[(&str, &[&str])] = &[
    ("i686", &["i386", "i586", "386", "x86"]),
    ("x86_64", &["amd64"]),
    ("armv6l", &["arm", "armel"]),
    ("armv7l", &["armhf", "armv7"]),
    ("armv8l", &[]),
    ("aarch64", &["arm64"]),
    ("ppc", &["powerpc"]),
    ("ppc64", &["powerpc64"]),
    ("ppc64le", &["ppc64el"]),
    ("s390x", &[]),
    ("mips", &["mipsel"]),
    ("mips64", &["mips64el"]),
    ("riscv32", &[]),
    ("riscv64", &[]),
];

/// LXD's name of an architecture (`amd64` is `x86_64`); `None` for one that it doesn't know.
pub fn normalise(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, others)| *known == name || others.contains(&name)).map(|(known, _)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_lxd() {
        for (given, expected) in [
            ("amd64", Some("x86_64")),
            ("x86_64", Some("x86_64")),
            ("armel", Some("armv6l")),
            ("mipsel", Some("mips")),
            ("X86_64", None),
            ("generic_64bit", None),
            ("", None),
        ] {
            assert_eq!(normalise(given), expected, "{given}");
        }
    }
}
