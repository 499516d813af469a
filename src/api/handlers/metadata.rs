//! `/1.0/metadata/configuration`: every configuration key, from the one table.

use crate::api::config;
use crate::api::response::Reply;
use crate::api::request::Request;
use crate::Result;

/// `GET`.
pub async fn configuration(_: Request) -> Result<Reply> {
    Reply::sync(&config::describe())
}
