//! `lxc storage`: rows of the command table.

use super::run;
use super::{Command, FORMAT, TARGET, group, leaf, switch, text};
use crate::cli::commands::*;

/// `lxc storage`.
pub(super) const STORAGE: Command = group(
    "storage",
    "Look after storage pools and volumes",
    &[
        leaf("create", "[<remote>:]<pool> <driver> [key=value...]", "Create a storage pool")
            .flags(&[TARGET])
            .examples("lxc storage create p1 dir source=/srv/lxd")
            .run(run!(storage::create, args::OnMember, 2..)),
        leaf("delete", "[<remote>:]<pool>", "Delete a storage pool").aliases(&["rm"]).run(run!(
            storage::delete,
            args::Words,
            1..=1
        )),
        leaf("edit", "[<remote>:]<pool>", "Edit a storage pool as YAML").run(run!(storage::edit, args::Words, 1..=1)),
        leaf("get", "[<remote>:]<pool> <key>", "Print a configuration value of a storage pool")
            .flags(&[TARGET])
            .run(run!(storage::get, args::OnMember, 2..=2)),
        leaf("info", "[<remote>:]<pool>", "Show usage and users of a storage pool")
            .flags(&[switch("bytes", "Show sizes in bytes"), TARGET])
            .run(run!(storage::info, storage::Info, 1..=1)),
        leaf("list", "[<remote>:]", "List the storage pools").aliases(&["ls"]).flags(&[FORMAT]).run(run!(
            storage::list,
            args::Format,
            0..=1
        )),
        leaf("set", "[<remote>:]<pool> <key> <value>", "Set a configuration key of a storage pool")
            .flags(&[TARGET])
            .more("Several keys may be set at once as <key>=<value>.")
            .run(run!(storage::set, args::OnMember, 2..)),
        leaf("show", "[<remote>:]<pool>", "Show a storage pool")
            .flags(&[switch("resources", "Show how full the pool is"), TARGET])
            .run(run!(storage::show, storage::Show, 1..=1)),
        leaf("unset", "[<remote>:]<pool> <key>", "Unset a configuration key of a storage pool")
            .flags(&[TARGET])
            .run(run!(storage::unset, args::OnMember, 2..=2)),
        group(
            "volume",
            "Look after storage volumes",
            &[
                leaf(
                    "attach",
                    "[<remote>:]<pool> <volume> <instance> [<device name>] [<path>]",
                    "Attach a volume to an instance",
                )
                .run(run!(volume::attach, args::Words, 3..=5)),
                leaf(
                    "attach-profile",
                    "[<remote:>]<pool> <volume> <profile> [<device name>] [<path>]",
                    "Attach a volume to a profile",
                )
                .run(run!(volume::attach_profile, args::Words, 3..=5)),
                leaf("copy", "[<remote>:]<pool>/<volume>[/<snapshot>] [<remote>:]<pool>/<volume>", "Copy a volume")
                    .aliases(&["cp"])
                    .flags(&[
                        text("destination-target", "Cluster member to put it on"),
                        text("mode", "How the data travels: pull, push or relay").default("pull"),
                        switch("refresh", "Bring an existing copy up to date"),
                        TARGET,
                        text("target-project", "Project to put it in"),
                        switch("volume-only", "Leave the snapshots out"),
                    ])
                    .run(run!(volume::copy, volume::Copy, 2..=2)),
                leaf("create", "[<remote>:]<pool> <volume> [key=value...]", "Create a custom volume")
                    .flags(&[TARGET, text("type", "Kind of content (block or filesystem)").default("filesystem")])
                    .run(run!(volume::create, volume::Create, 2..)),
                leaf("delete", "[<remote>:]<pool> <volume>[/<snapshot>]", "Delete a volume")
                    .aliases(&["rm"])
                    .flags(&[TARGET])
                    .run(run!(volume::delete, args::OnMember, 2..=2)),
                leaf(
                    "detach",
                    "[<remote>:]<pool> <volume> <instance> [<device name>]",
                    "Detach a volume from an instance",
                )
                .run(run!(volume::detach, args::Words, 3..=4)),
                leaf(
                    "detach-profile",
                    "[<remote:>]<pool> <volume> <profile> [<device name>]",
                    "Detach a volume from a profile",
                )
                .run(run!(volume::detach_profile, args::Words, 3..=4)),
                leaf("edit", "[<remote>:]<pool> <volume>[/<snapshot>]", "Edit a volume as YAML")
                    .flags(&[TARGET])
                    .run(run!(volume::edit, args::OnMember, 2..=2)),
                leaf("export", "[<remote>:]<pool> <volume> [<path>]", "Write a backup of a custom volume to a file")
                    .flags(&[
                        text("compression", "How to compress (none for not at all)"),
                        switch(
                            "optimized-storage",
                            "Use the storage driver's own format (it can be restored only to a pool of the same kind)",
                        ),
                        TARGET,
                        switch("volume-only", "Leave the snapshots out"),
                    ])
                    .run(run!(volume::export, volume::Export, 2..=3)),
                leaf("get", "[<remote>:]<pool> <volume>[/<snapshot>] <key>", "Print a configuration value of a volume")
                    .flags(&[TARGET])
                    .run(run!(volume::get, args::OnMember, 3..=3)),
                leaf(
                    "import",
                    "[<remote>:]<pool> <backup file> [<volume name>]",
                    "Restore a custom volume from a backup file",
                )
                .flags(&[TARGET])
                .run(run!(volume::import, args::OnMember, 2..=3)),
                leaf("info", "[<remote>:]<pool> <volume>", "Show usage and snapshots of a volume")
                    .flags(&[TARGET])
                    .run(run!(volume::info, args::OnMember, 2..=2)),
                leaf("list", "[<remote>:]<pool> [<filter>...]", "List the volumes of a pool")
                    .aliases(&["ls"])
                    .flags(&[
                        switch("all-projects", "Of all projects"),
                        text("columns", "Columns to show").short('c').default("etndcuL"),
                        FORMAT,
                    ])
                    .run(run!(volume::list, volume::List, 1..)),
                leaf("move", "[<remote>:]<pool>/<volume> [<remote>:]<pool>/<volume>", "Move a volume to another pool")
                    .aliases(&["mv"])
                    .flags(&[
                        text("destination-target", "Cluster member to put it on"),
                        text("mode", "How the data travels: pull, push or relay").default("pull"),
                        TARGET,
                        text("target-project", "Project to put it in"),
                    ])
                    .run(run!(volume::move_to, volume::Move, 2..=2)),
                leaf(
                    "rename",
                    "[<remote>:]<pool> <old name>[/<old snapshot name>] <new name>[/<new snapshot name>]",
                    "Rename a volume or its snapshot",
                )
                .flags(&[TARGET])
                .run(run!(volume::rename, args::OnMember, 3..=3)),
                leaf("restore", "[<remote>:]<pool> <volume> <snapshot>", "Go back to a snapshot of a volume")
                    .flags(&[TARGET])
                    .run(run!(volume::restore, args::OnMember, 3..=3)),
                leaf("set", "[<remote>:]<pool> <volume> <key>=<value>...", "Set configuration keys of a volume")
                    .flags(&[TARGET])
                    .run(run!(volume::set, args::OnMember, 3..)),
                leaf("show", "[<remote>:]<pool> <volume>[/<snapshot>]", "Show a volume").flags(&[TARGET]).run(run!(
                    volume::show,
                    args::OnMember,
                    2..=2
                )),
                leaf("snapshot", "[<remote>:]<pool> <volume> [<snapshot>]", "Take a snapshot of a volume")
                    .flags(&[
                        switch("no-expiry", "Keep it until it is deleted"),
                        switch("reuse", "Replace a snapshot of the same name"),
                        TARGET,
                    ])
                    .run(run!(volume::snapshot, volume::Snapshot, 2..=3)),
                leaf("unset", "[<remote>:]<pool> <volume> <key>", "Unset a configuration key of a volume")
                    .flags(&[TARGET])
                    .run(run!(volume::unset, args::OnMember, 3..=3)),
            ],
        ),
    ],
);
