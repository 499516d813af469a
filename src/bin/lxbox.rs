//! The one executable: `lxd` or `lxc` by the name it is called with, or by its first word.

use lxbox::runtime::helper;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let code = match args.get(1).map(String::as_str) {
        Some("shim") => helper::shim::main(&args[2..]),
        Some("attach") => helper::attach::main(&args[2..]),
        _ => 2,
    };
    std::process::exit(code);
}
