//! Archives from friends and strangers: what comes out of our tree writer, compared with GNU tar, and what doesn't.
//!
//! Runs as root: owners and device nodes are the point.

mod hostile;
mod made;
mod process;
mod same;
mod scratch;
