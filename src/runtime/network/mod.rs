//! Networks of the host: bridges and what serves them.

pub mod serving;
