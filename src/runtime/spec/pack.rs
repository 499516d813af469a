//! The plan of one archive: what the `pack` helper is told and what it answers.

use std::path::PathBuf;

use serde::Serialize;

use super::Idmap;
use crate::api::tree::readable;

readable! {
    /// What the `pack` helper is told. Descriptors beside it: the answer's socket, the pidfd of process 1 (or anything, when no part is of
    /// a running guest), and where the archive goes: a pipe or a file.
    #[derive(Clone, Debug, Serialize)]
    pub struct PackPlan {
        /// [`super::VERSION`].
        pub version: u32,
        /// How the archive is compressed.
        pub compression: Compression,
        /// Whether it is brought to the disk before it is done; for an archive that goes to a file.
        pub sync: bool,
        /// What is in it, in this order.
        pub parts: Vec<Part>,
    }

    /// A part of an archive.
    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "part", rename_all = "snake_case")]
    pub enum Part {
        /// A file that is on no disk.
        File {
            /// Its path in the archive.
            path: String,
            /// What is in it.
            content: Vec<u8>,
            /// Its last change, in seconds since 1970.
            modified: i64,
        },
        /// A tree, as the directory of this path in the archive.
        Tree {
            /// Its path in the archive.
            path: String,
            /// Where it is.
            place: PackPlace,
        },
    }

    /// Where a tree is.
    #[derive(Clone, Debug, Serialize)]
    #[serde(tag = "place", rename_all = "snake_case")]
    pub enum PackPlace {
        /// A directory.
        Directory {
            /// Its path.
            path: PathBuf,
            /// The map whose host ids its files have; empty when they have the guest's own.
            ids: Idmap,
        },
        /// Layers that make one tree together, the top first. Nobody has one of them mounted for writing.
        Layers {
            /// Their directories.
            paths: Vec<PathBuf>,
        },
        /// The root of a running guest, whose process 1 is given.
        Guest {
            /// Its map; empty when it is without a user namespace.
            ids: Idmap,
        },
    }

    /// How bytes are compressed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    pub struct Compression {
        /// By what.
        pub algorithm: Algorithm,
        /// How hard, in the algorithm's own numbers; its usual level when there is none.
        pub level: Option<u32>,
    }

    /// The ways of compressing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Algorithm {
        /// Not at all.
        None,
        /// RFC 1952.
        Gzip,
        /// bzip2.
        Bzip2,
        /// The .xz container.
        Xz,
        /// The older .lzma container.
        Lzma,
        /// RFC 8878.
        Zstd,
        /// A squashfs in place of an archive, made by a program of the host; the `pack` helper isn't asked for it.
        Squashfs,
    }
}

/// Why a text is no [`Compression`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCompression {
    /// No way of compressing is called so.
    Unknown(String),
    /// It takes no such option.
    Option(String),
}

impl Algorithm {
    /// Its levels, the lowest and the highest.
    fn levels(self) -> Option<(u32, u32)> {
        match self {
            Algorithm::None | Algorithm::Squashfs => None,
            Algorithm::Gzip | Algorithm::Bzip2 => Some((1, 9)),
            Algorithm::Xz | Algorithm::Lzma => Some((0, 9)),
            Algorithm::Zstd => Some((1, 19)),
        }
    }
}

impl Compression {
    /// Reads a name with its options, as configuration keys and requests have it: `gzip`, `zstd -5`.
    ///
    /// Of the options of the programs of these names the levels are taken, and those that say what is done here anyway (`-n` of gzip,
    /// which leaves name and time out, and how many threads).
    pub fn parse(text: &str) -> Result<Compression, NoCompression> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let algorithm = match name {
            "none" => Algorithm::None,
            "gzip" => Algorithm::Gzip,
            "bzip2" => Algorithm::Bzip2,
            "xz" => Algorithm::Xz,
            "lzma" => Algorithm::Lzma,
            "zstd" => Algorithm::Zstd,
            "squashfs" => Algorithm::Squashfs,
            other => return Err(NoCompression::Unknown(other.into())),
        };
        let mut level = None;
        for word in words {
            let number = word.strip_prefix('-').and_then(|digits| digits.parse::<u32>().ok());
            let fits = |n: &u32| algorithm.levels().is_some_and(|(low, high)| (low..=high).contains(n));
            level = match (word, number.filter(fits)) {
                (_, Some(number)) => Some(number),
                ("--fast", None) if algorithm == Algorithm::Gzip => Some(1),
                ("--best", None) if algorithm.levels().is_some_and(|(_, high)| high == 9) => Some(9),
                ("-n" | "--no-name", None) if algorithm == Algorithm::Gzip => level,
                ("-T0" | "--threads=0", None) if matches!(algorithm, Algorithm::Xz | Algorithm::Zstd) => level,
                _ => return Err(NoCompression::Option(word.into())),
            };
        }
        Ok(Compression { algorithm, level })
    }
}

readable! {
    /// What the `pack` helper answers.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    #[serde(tag = "say", rename_all = "snake_case")]
    pub enum PackAnswer {
        /// It goes on: what is packed so far, in bytes before they are compressed. Others follow.
        Packed {
            /// All of them.
            bytes: u64,
        },
        /// The archive is complete.
        Done,
        /// It isn't, and won't be.
        Failed {
            /// The system's error number; 0 when there was none.
            errno: i32,
            /// What was being done.
            what: String,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_levels_are_read_and_other_options_refused() {
        let read = |text| Compression::parse(text).map(|c| (c.algorithm, c.level));
        assert_eq!(read("none"), Ok((Algorithm::None, None)));
        assert_eq!(read("gzip"), Ok((Algorithm::Gzip, None)));
        assert_eq!(read("gzip -n -3"), Ok((Algorithm::Gzip, Some(3))));
        assert_eq!(read("zstd -15 -T0"), Ok((Algorithm::Zstd, Some(15))));
        assert_eq!(read("xz --best"), Ok((Algorithm::Xz, Some(9))));
        assert_eq!(read(""), Err(NoCompression::Unknown("".into())));
        assert_eq!(read("rm -rf"), Err(NoCompression::Unknown("rm".into())));
        assert_eq!(read("squashfs"), Ok((Algorithm::Squashfs, None)));
        assert_eq!(read("squashfs --best"), Err(NoCompression::Option("--best".into())));
        assert_eq!(read("gzip -10"), Err(NoCompression::Option("-10".into())));
        assert_eq!(read("none -1"), Err(NoCompression::Option("-1".into())));
        assert_eq!(read("xz -k"), Err(NoCompression::Option("-k".into())));
    }
}
