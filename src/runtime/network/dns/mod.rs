//! Names of zones as DNS has them, for the servers that copy zones from us: pure.
//!
//! ```text
//! value     a value as people write it -> a record's data
//! content   networks, their addresses and the records of a zone -> the whole zone
//! question  a packet -> what is asked, and by whom (with tsig)
//! answer    a zone -> packets
//! ```

pub mod answer;
pub mod content;
pub mod question;
pub mod tsig;
pub mod value;
