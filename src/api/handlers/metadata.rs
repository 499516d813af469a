//! `/1.0/metadata/configuration`: every configuration key, from the one table.

use crate::Result;
use crate::api::config;
use crate::api::request::Request;
use crate::api::response::Reply;

/// `GET`.
pub async fn configuration(_: Request) -> Result<Reply> {
    Reply::sync(&config::describe())
}
