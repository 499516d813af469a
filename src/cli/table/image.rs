//! `lxc image`: rows of the command table.

use super::run;
use super::{Command, FORMAT, group, leaf, list, switch, text};
use crate::cli::commands::*;

/// `lxc image`.
pub(super) const IMAGE: Command = group("image", "Look after images", &[
group("alias", "Look after the names of images", &[
leaf("create", "[<remote>:]<alias> <fingerprint>", "Give an image a name").run(run!(image::alias::create, args::Words, 2..=2)),
leaf("delete", "[<remote>:]<alias>", "Delete a name of an image").aliases(&["rm"]).run(run!(image::alias::delete, args::Words, 1..=1)),
leaf("list", "[<remote>:] [<filters>...]", "List the names of images").aliases(&["ls"]).flags(&[FORMAT]).run(run!(image::alias::list, args::Format, 0..)),
leaf("rename", "[<remote>:]<alias> <new-name>", "Rename a name of an image").aliases(&["mv"]).run(run!(image::alias::rename, args::Words, 2..=2)),]),
leaf("copy", "[<remote>:]<image> <remote>:", "Copy an image to another server").aliases(&["cp"]).flags(&[list("alias", "Name to give the image"), switch("auto-update", "Let the server keep the image up to date"), switch("copy-aliases", "Copy the names of the image too"), text("mode", "How the data travels: pull, push or relay").default("pull"), switch("public", "Make the image public"), text("target-project", "Project to put it in"), switch("vm", "Virtual machines instead of containers")]).run(run!(image::transfer::copy, image::transfer::Copy, 2..=2)),
leaf("delete", "[<remote>:]<image> [[<remote>:]<image>...]", "Delete images").aliases(&["rm"]).run(run!(image::show::delete, args::Words, 1..)),
leaf("edit", "[<remote>:]<image>", "Edit the properties of an image as YAML").run(run!(image::show::edit, args::Words, 1..=1)),
leaf("export", "[<remote>:]<image> [<target>]", "Download an image").flags(&[switch("vm", "Virtual machines instead of containers")]).run(run!(image::transfer::export, args::Vm, 1..=2)),
leaf("get-property", "[<remote>:]<image> <key>", "Print a property of an image").run(run!(image::show::get_property, args::Words, 2..=2)),
leaf("import", "<tarball>|<directory>|<URL> [<rootfs tarball>] [<remote>:] [key=value...]", "Add an image to the server from files").flags(&[list("alias", "Name to give the image"), switch("public", "Make the image public")]).examples("lxc image import debian.tar.xz --alias debian
lxc image import metadata.tar.xz rootfs.squashfs --alias debian os=Debian").run(run!(image::import::import, image::import::Import, 1..)),
leaf("info", "[<remote>:]<image>", "Show what is known of an image").flags(&[switch("vm", "Virtual machines instead of containers")]).run(run!(image::show::info, args::Vm, 1..=1)),
leaf("list", "[<remote>:] [<filter>...]", "List images").aliases(&["ls"]).flags(&[text("columns", "Columns to show").short('c').default("lfpdatsu"), FORMAT]).more("Words after the command filter: key=value looks at the properties, other words at fingerprints and aliases.

Columns are letters:
  l shortest alias      F fingerprint, in full    s size
  L all aliases         p public                  t type
  f fingerprint         d description             u uploaded
  a architecture").run(run!(image::list::list, args::Columns, 0..)),
leaf("refresh", "[<remote>:]<image> [[<remote>:]<image>...]", "Fetch newer versions of images").run(run!(image::transfer::refresh, args::Words, 1..)),
leaf("set-property", "[<remote>:]<image> <key> <value>", "Set a property of an image").run(run!(image::show::set_property, args::Words, 3..=3)),
leaf("show", "[<remote>:]<image>", "Show the properties of an image").flags(&[switch("vm", "Virtual machines instead of containers")]).run(run!(image::show::show, args::Vm, 1..=1)),
leaf("unset-property", "[<remote>:]<image> <key>", "Unset a property of an image").run(run!(image::show::unset_property, args::Words, 2..=2)),]).more("An image is what instances are made of: a root file system and a description of it, in one file or two. Its fingerprint
is the SHA-256 of the file, or of the two one after the other. An image is named by its fingerprint, by the beginning
of it, or by an alias.");
