//! Limits on what is read from and written to a block device of the host, as the kernel's files want them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::tree::readable;

readable! {
    /// Limits for one device; what is `None` isn't limited.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Throttle {
        /// Major and minor number of the whole device, not of a partition.
        pub device: (u32, u32),
        /// Bytes and operations a second.
        pub read: Rate,
        /// Bytes and operations a second.
        pub write: Rate,
    }

    /// How much a second.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Rate {
        /// Bytes.
        pub bytes: Option<u64>,
        /// Operations.
        pub operations: Option<u64>,
    }
}

impl Rate {
    /// The stricter of two.
    pub fn with(self, other: Rate) -> Rate {
        let less = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Rate { bytes: less(self.bytes, other.bytes), operations: less(self.operations, other.operations) }
    }
}

/// One for each device: of several the strictest.
pub fn by_device<'a>(all: impl IntoIterator<Item = &'a Throttle>) -> BTreeMap<(u32, u32), Throttle> {
    let mut devices: BTreeMap<(u32, u32), Throttle> = BTreeMap::new();
    for one in all {
        let known = devices.entry(one.device).or_insert(Throttle { device: one.device, ..Throttle::default() });
        (known.read, known.write) = (known.read.with(one.read), known.write.with(one.write));
    }
    devices
}

impl Throttle {
    /// Files of a v1 `blkio` group and what is written to each: 0 for no limit.
    pub fn v1(&self) -> [(&'static str, String); 4] {
        let ((major, minor), read, write) = (self.device, self.read, self.write);
        let line = |limit: Option<u64>| format!("{major}:{minor} {}", limit.unwrap_or(0));
        [
            ("blkio.throttle.read_bps_device", line(read.bytes)),
            ("blkio.throttle.read_iops_device", line(read.operations)),
            ("blkio.throttle.write_bps_device", line(write.bytes)),
            ("blkio.throttle.write_iops_device", line(write.operations)),
        ]
    }

    /// What is written to `io.max` of a v2 group.
    pub fn v2(&self) -> String {
        let ((major, minor), read, write) = (self.device, self.read, self.write);
        let word = |limit: Option<u64>| limit.map_or("max".into(), |limit| limit.to_string());
        let ((rbps, riops), (wbps, wiops)) =
            ((word(read.bytes), word(read.operations)), (word(write.bytes), word(write.operations)));
        format!("{major}:{minor} rbps={rbps} wbps={wbps} riops={riops} wiops={wiops}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_kernels_and_the_strictest_counts() {
        let rate = |bytes, operations| Rate { bytes, operations };
        let one = Throttle { device: (8, 0), read: rate(Some(10), None), write: rate(None, Some(5)) };
        let two = Throttle { device: (8, 0), read: rate(Some(7), None), write: Rate::default() };
        let both = by_device([&one, &two])[&(8, 0)];
        assert_eq!(both.v2(), "8:0 rbps=7 wbps=max riops=max wiops=5");
        assert_eq!(both.v1()[0], ("blkio.throttle.read_bps_device", "8:0 7".into()));
        assert_eq!(both.v1()[1].1, "8:0 0");
    }
}
