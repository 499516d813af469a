//! `/1.0/cluster`: not enabled, until clusters come.

use crate::Result;
use crate::api::request::Request;
use crate::api::response::Reply;

/// `GET`.
pub async fn get(request: Request) -> Result<Reply> {
    let cluster = request.services.server.cluster()?;
    Reply::with_etag(&cluster, &cluster)
}
