//! The one executable: `lxd` or `lxc` by the name it is called with, or by its first word.

fn main() {
    std::process::exit(lxbox::cli::main(std::env::args().collect()));
}
