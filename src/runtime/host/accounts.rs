//! Users and groups of the host, read from `/etc/passwd` and `/etc/group` by hand: musl has no name service switch.

use super::Tree;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the first group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// The id of the group `name`, or `name` itself when it is a number; `None` when there is no such group.
///
/// `lxd --group` takes a name; a number is our addition for hosts whose groups come from elsewhere.
pub fn group_id(tree: &Tree, name: &str) -> Option<u32> {
    groups(tree).into_iter().find(|(known, _)| known == name).map(|(_, gid)| gid).or_else(|| name.parse().ok())
}

/// The name of a group.
pub fn group_name(tree: &Tree, gid: u32) -> Option<String> {
    groups(tree).into_iter().find(|(_, known)| *known == gid).map(|(name, _)| name)
}

/// The user `name`.
pub fn user(tree: &Tree, name: &str) -> Option<User> {
    users(tree).into_iter().find(|user| user.name == name)
}

/// The user with this id.
pub fn user_by_id(tree: &Tree, uid: u32) -> Option<User> {
    users(tree).into_iter().find(|user| user.uid == uid)
}

fn users(tree: &Tree) -> Vec<User> {
    tree.text("etc/passwd").unwrap_or_default().lines().filter_map(parse_user).collect()
}

fn groups(tree: &Tree) -> Vec<(String, u32)> {
    tree.text("etc/group").unwrap_or_default().lines().filter_map(parse_group).collect()
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _password, uid, gid, _comment, home, shell] = fields[..] else { return None };
    Some(User {
        name: name.to_string(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_string(),
        shell: shell.to_string(),
    })
}

fn parse_group(line: &str) -> Option<(String, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some((name.to_string(), gid))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn finds_users_and_groups_and_skips_broken_lines() {
        let host = Fixture::new();
        host.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n+nis::::::\nbroken\nu:x:1000:100:,,,:/home/u:/bin/zsh\n",
        )
        .write("etc/group", "root:x:0:\nlxd:x:110:alice,bob\nbad:x:many:\n");
        let tree = host.tree();
        assert_eq!(group_id(&tree, "lxd"), Some(110));
        assert_eq!(group_id(&tree, "bad"), None);
        assert_eq!(group_id(&tree, "42"), Some(42));
        assert_eq!(group_name(&tree, 0).as_deref(), Some("root"));
        assert_eq!(user(&tree, "u").map(|u| (u.uid, u.gid, u.home)), Some((1000, 100, "/home/u".to_string())));
        assert_eq!(user_by_id(&tree, 0).map(|u| u.name).as_deref(), Some("root"));
        assert_eq!(user(&tree, "broken"), None);
    }
}
