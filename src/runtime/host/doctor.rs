//! `lxd doctor`: says in plain words what the host lacks and what that means.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Tree;
use super::features::{self, Finding, Probe, Weight};

/// The LXD version this program is compatible with.
const LXD_VERSION: &str = "5.0.2";

/// What `lxd doctor` found out. Its [`fmt::Display`] is what is printed.
pub struct Report {
    lxd_dir: PathBuf,
    findings: Vec<Finding>,
}

/// Runs all probes for a daemon in `lxd_dir`. Changes nothing on the host; blocks for some milliseconds.
pub fn report(lxd_dir: &Path) -> Report {
    let probe = Probe::new(Tree::host(), lxd_dir);
    Report { lxd_dir: lxd_dir.to_path_buf(), findings: features::findings(&probe) }
}

impl Report {
    /// Whether containers can run here.
    pub fn healthy(&self) -> bool {
        !self.findings.iter().any(|finding| finding.found.is_err() && finding.feature.weight == Weight::Must)
    }

    /// The exit code of `lxd doctor`: 0 when containers can run, 1 when not.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.healthy())
    }

    /// Features that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.found.is_err())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lxbox {}, compatible with LXD {LXD_VERSION}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "Directory: {}\n", self.lxd_dir.display())?;
        for finding in &self.findings {
            let name = finding.feature.name;
            match (&finding.found, finding.feature.weight) {
                (Ok(detail), _) => writeln!(f, "  ok       {name}: {detail}")?,
                (Err(reason), Weight::Should) => writeln!(f, "  weak     {name}: {reason}")?,
                (Err(reason), Weight::Must) => writeln!(f, "  missing  {name}: {reason}")?,
            }
        }
        if self.missing().next().is_some() {
            writeln!(f, "\nWhat that means:")?;
        }
        for Finding { feature, .. } in self.missing() {
            let since = if feature.since.is_empty() { String::new() } else { format!(" (Linux {})", feature.since) };
            writeln!(f, "- {}{since} is for {}. {}", feature.name, feature.needed_for, feature.without)?;
        }
        let verdict = if self.healthy() { "Containers can run here." } else { "Containers can't run here." };
        writeln!(f, "\n{verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::FEATURES;
    use super::*;

    fn report(missing: &[&str]) -> Report {
        let found = |name| if missing.contains(&name) { Err("not there".to_string()) } else { Ok("works".to_string()) };
        let findings = FEATURES.iter().map(|feature| Finding { feature, found: found(feature.name) }).collect();
        Report { lxd_dir: PathBuf::from("/var/lib/lxd"), findings }
    }

    #[test]
    fn a_good_host_is_told_so() {
        let report = report(&[]);
        let text = report.to_string();
        assert!(text.starts_with(&format!("lxbox {}, compatible with LXD 5.0.2\n", env!("CARGO_PKG_VERSION"))));
        assert!(text.ends_with("\nContainers can run here.\n") && !text.contains("What that means"));
        assert_eq!(report.exit_code(), 0);
    }

    #[test]
    fn what_is_missing_is_explained() {
        let weak = report(&["overlay"]);
        let text = weak.to_string();
        assert!(text.contains("  weak     overlay: not there\n"), "{text}");
        assert!(text.contains("- overlay (Linux 5.19) is for the overlay pool"), "{text}");
        assert_eq!(weak.exit_code(), 0);
        let broken = report(&["cgroups"]);
        assert!(broken.to_string().contains("  missing  cgroups: not there\n"));
        assert!(broken.to_string().ends_with("\nContainers can't run here.\n"));
        assert_eq!(broken.exit_code(), 1);
    }

    #[test]
    fn this_host_is_examined_without_leaving_anything() {
        let dir = std::env::temp_dir();
        let names = |dir: &Path| {
            let entries = std::fs::read_dir(dir).unwrap();
            entries.flatten().map(|e| e.file_name()).filter(|n| n.to_string_lossy().contains("doctor")).count()
        };
        let before = names(&dir);
        let report = super::report(&dir.join("lxbox-doctor-not-there"));
        assert_eq!(report.findings.len(), FEATURES.len());
        assert_eq!(names(&dir), before);
    }
}
