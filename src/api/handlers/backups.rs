//! `/1.0/instances/{name}/backups`, and instances made of archives.

use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::{image_files, list as render_list, url};
use crate::api::request::Request;
use crate::api::response::Reply;
use crate::api::types::{InstanceBackupsPost, RenamePost};
use crate::runtime::images::service::Export;
use crate::runtime::instances::backup::{Arrival, Wanted};
use crate::{Ctx, Error, Kind, Result};

/// `GET`: URLs, objects with `recursion=1`.
pub async fn list(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    let all = request.services.instances.backups(&project, &name).await?;
    render_list(&request, &all, |b| url::of(&format!("instances/{}/backups", url::encode(&name)), &b.name, &project))
}

/// `POST`: a new backup, in the background.
pub async fn create(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let post: InstanceBackupsPost = request.json().await?;
    let by = request.caller.requestor();
    Ok(Reply::operation(request.services.instances.create_backup(&project, &name, post, by).await?))
}

/// `GET {backup}`.
pub async fn get(request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0));
    Reply::sync(&request.services.instances.backup(&project, name, request.param(1)).await?)
}

/// `POST {backup}`: renames it, in the background.
pub async fn rename(mut request: Request) -> Result<Reply> {
    let (project, name, backup) = (request.project()?, request.param(0).to_owned(), request.param(1).to_owned());
    let post: RenamePost = request.json().await?;
    let by = request.caller.requestor();
    let instances = &request.services.instances;
    Ok(Reply::operation(instances.rename_backup((&project, &name), &backup, &post.name, by).await?))
}

/// `DELETE {backup}`, in the background.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, by) = (request.project()?, request.caller.requestor());
    let instances = &request.services.instances;
    Ok(Reply::operation(instances.delete_backup(&project, request.param(0), request.param(1), by).await?))
}

/// `GET {backup}/export`: the archive.
pub async fn export(request: Request) -> Result<Reply> {
    let project = request.project_name();
    let file = request.services.instances.open_backup(&project, request.param(0), request.param(1)).await?;
    image_files::answer(&request, Export::of_file(file)?).await
}

/// `POST /1.0/instances` with an archive for a body.
pub(super) async fn import(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let header = |name| request.header(name).unwrap_or_default();
    let wanted = Wanted { name: header("x-lxd-name"), pool: header("x-lxd-pool") };
    match receive(&mut request).await {
        Ok(arrival) => {
            let by = request.caller.requestor();
            Ok(Reply::operation(request.services.instances.import(&project, arrival, wanted, by).await?))
        }
        Err(e) => {
            request.drain().await;
            Err(e)
        }
    }
}

/// Takes the body to the disk.
async fn receive(request: &mut Request) -> Result<Arrival> {
    let failed = || "Failed receiving the backup";
    let arrival = request.services.instances.arrival().await?;
    let file = arrival.0.try_clone().ctx(Kind::Internal, failed)?;
    let mut file = tokio::fs::File::from_std(file);
    while let Some(frame) = request.body.frame().await {
        let frame = frame.map_err(|e| Error::invalid(format!("Failed reading the request body: {e}")))?;
        if let Ok(bytes) = frame.into_data() {
            file.write_all(&bytes).await.ctx(Kind::Internal, failed)?;
        }
    }
    file.flush().await.ctx(Kind::Internal, failed)?;
    Ok(arrival)
}
