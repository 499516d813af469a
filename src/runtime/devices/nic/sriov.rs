//! Virtual functions of a network card, as sysfs shows them (Linux, `Documentation/PCI/pci-iov-howto.rst`).
//!
//! ```text
//! class/net/PARENT/device/sriov_numvfs, sriov_totalvfs    how many there are, and can be
//! class/net/PARENT/device/virtfnN/net/NAME                the interface of each, while it is the host's
//! class/net/PARENT/device/virtfnN -> ../0000:01:10.0      its slot
//! bus/pci/drivers/DRIVER/{bind,unbind}                    its driver
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Ctx, Error, Kind, Result};

/// Where the kernel shows its devices.
pub(super) const SYS: &str = "/sys";
/// How long the interface of a function takes at most to appear.
const APPEARS: Duration = Duration::from_secs(5);

/// A card with virtual functions.
#[derive(Debug)]
pub(super) struct Card {
    sys: PathBuf,
    /// The name of the card's interface.
    pub parent: String,
    /// Its folder.
    device: PathBuf,
}

impl Card {
    /// The card of an interface.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it has no virtual functions.
    pub(super) fn of(sys: &Path, parent: &str) -> Result<Card> {
        let device = sys.join("class/net").join(parent).join("device");
        if !device.join("sriov_numvfs").exists() {
            return Err(Error::invalid(format!("Parent device {parent:?} doesn't support SR-IOV")));
        }
        Ok(Card { sys: sys.to_owned(), parent: parent.to_owned(), device })
    }

    /// The number of a function that nobody has; more of them are asked for when all are taken. `unused` says whether
    /// the host leaves an interface alone.
    ///
    /// # Errors
    /// That all are taken, or the card can't have more.
    pub(super) fn free(&self, mut unused: impl FnMut(&str) -> bool) -> Result<u32> {
        let now = self.number("sriov_numvfs")?;
        if let Some(found) = (0..now).find(|n| self.interface_now(*n).is_some_and(|name| unused(&name))) {
            return Ok(found);
        }
        let most = self.number("sriov_totalvfs")?;
        let taken = || {
            Error::new(
                Kind::Conflict,
                format!("All virtual functions of parent device {:?} seem to be in use", self.parent),
            )
        };
        if now >= most {
            return Err(taken());
        }
        let path = self.device.join("sriov_numvfs");
        // The kernel changes the number only from and to nothing; a card that has some refuses.
        fs::write(&path, most.to_string())
            .ctx(Kind::Internal, || format!("Failed growing the virtual functions of {:?} to {most}", self.parent))?;
        let found = (now..most).find(|n| self.interface(*n).is_ok_and(|name| unused(&name)));
        found.ok_or_else(taken)
    }

    fn number(&self, file: &str) -> Result<u32> {
        let path = self.device.join(file);
        let text = fs::read_to_string(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
        text.trim().parse().map_err(|_| Error::internal(format!("{path:?} has no number")))
    }

    fn folder(&self, function: u32) -> PathBuf {
        self.device.join(format!("virtfn{function}"))
    }

    /// The interface of a function, when the host has it.
    fn interface_now(&self, function: u32) -> Option<String> {
        let entry = fs::read_dir(self.folder(function).join("net")).ok()?.flatten().next()?;
        entry.file_name().into_string().ok()
    }

    /// The interface of a function, which appears a while after its driver began. Blocks for that.
    pub(super) fn interface(&self, function: u32) -> Result<String> {
        let until = Instant::now() + APPEARS;
        loop {
            match self.interface_now(function) {
                Some(name) => return Ok(name),
                None if Instant::now() < until && self.folder(function).exists() => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                None => {
                    let text = format!("Virtual function {function} of {:?} has no interface", self.parent);
                    return Err(Error::internal(text));
                }
            }
        }
    }

    /// The PCI slot of a function.
    pub(super) fn slot(&self, function: u32) -> Result<String> {
        let path = self.folder(function);
        let target = fs::read_link(&path).ctx(Kind::Internal, || format!("Failed reading {path:?}"))?;
        let slot = target.file_name().and_then(|name| name.to_str());
        slot.map(str::to_owned).ok_or_else(|| Error::internal(format!("{path:?} leads to no slot")))
    }

    /// Takes the driver of a function away, and says which that was; none when it had none.
    pub(super) fn unbind(&self, function: u32) -> Result<Option<String>> {
        let Ok(target) = fs::read_link(self.folder(function).join("driver")) else { return Ok(None) };
        let Some(driver) = target.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        self.to_driver(function, driver, "unbind")?;
        Ok(Some(driver.to_owned()))
    }

    /// Gives a function its driver again.
    pub(super) fn bind(&self, function: u32, driver: &str) -> Result<()> {
        self.to_driver(function, driver, "bind")
    }

    fn to_driver(&self, function: u32, driver: &str, file: &str) -> Result<()> {
        let path = self.sys.join("bus/pci/drivers").join(driver).join(file);
        fs::write(&path, self.slot(function)?).ctx(Kind::Internal, || format!("Failed writing {path:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::scratch::Scratch;
    use super::*;

    /// A card of `now` functions of `most`, with interfaces `v0`, `v1`….
    fn card(now: u32, most: u32) -> (Scratch, Card) {
        let sys = Scratch::new();
        let device = sys.path().join("class/net/pf0/device");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("sriov_numvfs"), format!("{now}\n")).unwrap();
        fs::write(device.join("sriov_totalvfs"), format!("{most}\n")).unwrap();
        fs::create_dir_all(sys.path().join("bus/pci/drivers/vf")).unwrap();
        for n in 0..most {
            let slot = sys.path().join(format!("class/net/pf0/0000:01:10.{n}"));
            fs::create_dir_all(slot.join(format!("net/v{n}"))).unwrap();
            symlink("../../../../bus/pci/drivers/vf", slot.join("driver")).unwrap();
            symlink(format!("../0000:01:10.{n}"), device.join(format!("virtfn{n}"))).unwrap();
        }
        let card = Card::of(sys.path(), "pf0").unwrap();
        (sys, card)
    }

    #[test]
    fn the_first_function_that_nobody_has_is_taken() {
        let (sys, card) = card(3, 3);
        assert_eq!(card.free(|_| true).unwrap(), 0);
        assert_eq!(card.free(|name| name != "v0").unwrap(), 1);
        // One in a guest has no interface here.
        fs::remove_dir(sys.path().join("class/net/pf0/0000:01:10.0/net/v0")).unwrap();
        assert_eq!(card.free(|_| true).unwrap(), 1);
        let e = card.free(|_| false).unwrap_err();
        assert_eq!(e.message(), "All virtual functions of parent device \"pf0\" seem to be in use");
    }

    #[test]
    fn more_functions_are_asked_for_when_all_are_taken() {
        let (sys, card) = card(1, 2);
        assert_eq!(card.free(|name| name != "v0").unwrap(), 1);
        let said = fs::read_to_string(sys.path().join("class/net/pf0/device/sriov_numvfs")).unwrap();
        assert_eq!(said, "2");
    }

    #[test]
    fn drivers_are_told_the_slot() {
        let (sys, card) = card(2, 2);
        assert_eq!(card.unbind(1).unwrap().as_deref(), Some("vf"));
        card.bind(0, "vf").unwrap();
        let said = |file: &str| fs::read_to_string(sys.path().join("bus/pci/drivers/vf").join(file)).unwrap();
        assert_eq!((said("unbind").as_str(), said("bind").as_str()), ("0000:01:10.1", "0000:01:10.0"));
    }

    #[test]
    fn a_card_without_functions_is_refused() {
        let sys = Scratch::new();
        let e = Card::of(sys.path(), "lo").unwrap_err();
        assert_eq!(e.message(), "Parent device \"lo\" doesn't support SR-IOV");
    }
}
