//! `nvidia.runtime`: a guest gets the libraries of the host's NVIDIA driver, by NVIDIA's own tool.
//!
//! The tool (`nvidia-container-cli` of libnvidia-container) mounts them in the guest's root at each start. It is called as LXC's hook
//! `nvidia`, which LXD uses, calls it (measured with LXD 5.0.2).

use std::path::Path;

use super::expand::Expanded;
use crate::api::config::instance::Config;
use crate::api::types::Devices;
use crate::runtime::spec::Mounter;
use crate::runtime::sys::executable;
use crate::{Error, Result};

const PROGRAM: &str = "nvidia-container-cli";
/// Where it and ldconfig(8) are looked for beside `PATH`.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// What of the driver a guest may get.
const CAPABILITIES: [&str; 6] = ["compute", "compat32", "display", "graphics", "utility", "video"];
const RUNTIME: &str = "nvidia.runtime";
const WANTED: &str = "nvidia.driver.capabilities";
/// Conditions, and the variables that tell the guest of them.
const REQUIRED: [(&str, &str); 2] =
    [("nvidia.require.cuda", "NVIDIA_REQUIRE_CUDA"), ("nvidia.require.driver", "NVIDIA_REQUIRE_DRIVER")];

/// The variables by which the programs in a guest know what it has.
pub(super) fn environment(expanded: &Expanded) -> Vec<(String, String)> {
    let config = Config(&expanded.config);
    if !config.bool(RUNTIME) {
        return Vec::new();
    }
    let mut variables = vec![
        ("NVIDIA_VISIBLE_DEVICES".to_owned(), visible(&expanded.devices)),
        ("NVIDIA_DRIVER_CAPABILITIES".to_owned(), config.text(WANTED).to_owned()),
    ];
    variables.extend(requirements(config).map(|(variable, value)| (variable.to_owned(), value.to_owned())));
    variables
}

/// What mounts the libraries; `None` for a guest that is to get none. `place` is where its root is meanwhile. Blocks.
///
/// # Errors
/// [`crate::Kind::Invalid`] naming what is missing on this host, or what can't be.
pub(super) fn mounter(expanded: &Expanded, place: &Path) -> Result<Option<Mounter>> {
    let config = Config(&expanded.config);
    if !config.bool(RUNTIME) {
        return match parts(&expanded.devices).next() {
            None => Ok(None),
            Some((name, _)) => Err(Error::invalid(format!(
                "Failed to start device {name:?}: {RUNTIME:?} must be \"true\" for parts of a GPU by \"mig.uuid\""
            ))),
        };
    }
    if config.bool("security.privileged") {
        return Err(Error::invalid(format!("{RUNTIME:?} works in unprivileged containers only")));
    }
    let missing = || Error::invalid(format!("The NVIDIA container tools couldn't be found ({PROGRAM:?})"));
    let program = executable::find(PROGRAM, &PLACES).ok_or_else(missing)?;
    Ok(Some(Mounter { program, args: arguments(expanded)?, place: place.to_owned() }))
}

/// The tool's arguments but the root.
fn arguments(expanded: &Expanded) -> Result<Vec<String>> {
    let config = Config(&expanded.config);
    let mut args: Vec<String> = ["--user", "configure", "--no-cgroups"].map(str::to_owned).into();
    // `@`: the host's own, run in the guest's root.
    let linker = ["ldconfig.real", "ldconfig"].into_iter().find_map(|name| executable::find(name, &PLACES));
    args.extend(linker.map(|path| format!("--ldconfig=@{}", path.display())));
    let visible = visible(&expanded.devices);
    args.extend((visible != NONE).then(|| format!("--device={visible}")));
    for capability in capabilities(config.text(WANTED)) {
        if !CAPABILITIES.contains(&capability) {
            return Err(Error::invalid(format!("Invalid value for {WANTED:?}: Unknown capability {capability:?}")));
        }
        args.push(format!("--{capability}"));
    }
    args.extend(requirements(config).map(|(_, value)| format!("--require={value}")));
    Ok(args)
}

fn capabilities(wanted: &str) -> Vec<&str> {
    match wanted {
        "all" => CAPABILITIES.into(),
        some => some.split([',', ' ']).filter(|word| !word.is_empty()).collect(),
    }
}

fn requirements(config: Config<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    REQUIRED.into_iter().filter_map(move |(key, variable)| Some((variable, config.get(key)?)))
}

/// What [`visible`] says when there are no parts.
const NONE: &str = "none";

/// The parts of GPUs that the tool is to show. Whole ones, and parts by their numbers, are devices like others.
fn visible(devices: &Devices) -> String {
    let name = |uuid: &str| format!("MIG-{}", uuid.strip_prefix("MIG-").unwrap_or(uuid));
    let names: Vec<String> = parts(devices).map(|(_, uuid)| name(uuid)).collect();
    if names.is_empty() { NONE.to_owned() } else { names.join(",") }
}

/// The devices that are parts of GPUs by their UUIDs, and these.
fn parts(devices: &Devices) -> impl Iterator<Item = (&String, &str)> {
    devices.iter().filter_map(|(name, device)| {
        let uuid = device.get("mig.uuid").filter(|uuid| !uuid.is_empty())?;
        (device.get("type")? == "gpu").then_some((name, uuid.as_str()))
    })
}

/// Whether a running guest can be brought to another configuration: the tool runs at starts only.
///
/// # Errors
/// [`crate::Kind::Invalid`] with LXD's text for devices that can't be plugged.
pub(super) fn check_change(was: &Expanded, becomes: &Expanded) -> Result<()> {
    let (before, after): (Vec<_>, Vec<_>) = (parts(&was.devices).collect(), parts(&becomes.devices).collect());
    let change = match (after.iter().all(|part| before.contains(part)), before.iter().all(|part| after.contains(part)))
    {
        (true, true) => return Ok(()),
        (false, _) => "started",
        (true, false) => "stopped",
    };
    Err(Error::invalid(format!("Device cannot be {change} when instance is running")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "c904725f-0d7d-4afd-9ad7-e12ee4b853e1";

    fn expanded(config: &[(&str, &str)], uuids: &[&str]) -> Expanded {
        let pair = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        let gpu = |uuid: &&str| {
            let device = [("type", "gpu"), ("gputype", "mig"), ("mig.uuid", *uuid)].iter().map(pair).collect();
            (format!("g{uuid}"), device)
        };
        let config = config.iter().map(pair).collect();
        Expanded { config, devices: uuids.iter().map(gpu).collect(), profiles: Vec::new() }
    }

    /// The arguments but that for ldconfig(8), which hosts may have in several places.
    fn words(config: &[(&str, &str)], uuids: &[&str]) -> String {
        let args = arguments(&expanded(config, uuids)).unwrap();
        args.iter().filter(|arg| !arg.starts_with("--ldconfig")).cloned().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tool_is_called_as_lxcs_hook_calls_it() {
        assert_eq!(words(&[], &[]), "--user configure --no-cgroups --compute --utility");
        let all = "--user configure --no-cgroups --compute --compat32 --display --graphics --utility --video";
        assert_eq!(words(&[(WANTED, "all")], &[]), all);
        let some =
            [(WANTED, "video, utility"), ("nvidia.require.driver", "driver>=390"), ("nvidia.require.cuda", "cuda>=9")];
        let expected = "--user configure --no-cgroups --video --utility --require=cuda>=9 --require=driver>=390";
        assert_eq!(words(&some, &[]), expected);
        let said = arguments(&expanded(&[(WANTED, "compute,fly")], &[])).unwrap_err();
        assert!(said.message().ends_with("Unknown capability \"fly\""), "{said}");
    }

    #[test]
    fn parts_of_gpus_are_named_to_the_tool_and_to_the_guest() {
        let prefixed = format!("MIG-{UUID}");
        let part = words(&[], &[UUID]);
        assert_eq!(part, format!("--user configure --no-cgroups --device={prefixed} --compute --utility"));
        assert_eq!(words(&[], &[&prefixed]), part);
        let variables = environment(&expanded(&[(RUNTIME, "true")], &[UUID]));
        assert_eq!(variables[0], ("NVIDIA_VISIBLE_DEVICES".to_owned(), prefixed));
        assert_eq!(variables[1].1, "compute,utility");
        assert!(environment(&expanded(&[], &[])).is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refusal = |config: &[(&str, &str)], uuids: &[&str]| {
            mounter(&expanded(config, uuids), Path::new("/")).unwrap_err().message().to_owned()
        };
        let privileged = refusal(&[(RUNTIME, "true"), ("security.privileged", "true")], &[]);
        assert_eq!(privileged, "\"nvidia.runtime\" works in unprivileged containers only");
        assert!(refusal(&[], &[UUID]).contains("must be \"true\" for parts of a GPU"));
        let (with, without) = (expanded(&[], &[UUID]), expanded(&[], &[]));
        assert!(check_change(&with, &with).is_ok());
        for (was, becomes, word) in [(&without, &with, "started"), (&with, &without, "stopped")] {
            assert!(check_change(was, becomes).unwrap_err().message().contains(word));
        }
    }
}
