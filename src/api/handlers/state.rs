//! `/1.0/instances/{name}/state`, and the state of all at once.

use std::time::Duration;

use super::instances::kind_of_path;
use crate::api::request::Request;
use crate::api::response::Reply;
use crate::api::types::{InstanceStatePut, InstancesPut};
use crate::runtime::instances::{Action, Depth, Scope};
use crate::{Error, Result};

/// `GET`.
pub async fn get(request: Request) -> Result<Reply> {
    let full = request.services.instances.get(&request.project_name(), request.param(0), Depth::Full).await?;
    Reply::sync(&full.state)
}

/// `PUT`: starts, stops, restarts, freezes or thaws it, in the background.
pub async fn put(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project()?, request.param(0).to_owned());
    let put: InstanceStatePut = request.json().await?;
    let instances = &request.services.instances;
    instances.get(&project, &name, Depth::Plain).await?;
    let action = action(&put)?;
    Ok(Reply::operation(instances.change_state(&project, &name, action, request.caller.requestor())?))
}

/// `PUT /1.0/instances`: the same for all of them.
pub async fn bulk(mut request: Request) -> Result<Reply> {
    let project = request.project()?;
    let put: InstancesPut = request.json().await?;
    let action = action(&put.state.ok_or_else(|| Error::invalid("A state is required"))?)?;
    let kind = kind_of_path(&request.path).map(str::to_owned);
    let scope = Scope { project: Some(project.clone()), kind };
    Ok(Reply::operation(request.services.instances.change_all(&scope, action, request.caller.requestor())?))
}

fn action(put: &InstanceStatePut) -> Result<Action> {
    if put.stateful {
        return Err(Error::unsupported("Keeping the memory state of an instance"));
    }
    let timeout = u64::try_from(put.timeout).ok().filter(|s| *s > 0).map(Duration::from_secs);
    match put.action.as_str() {
        "start" => Ok(Action::Start),
        "stop" => Ok(Action::Stop { force: put.force, timeout }),
        "restart" => Ok(Action::Restart { force: put.force, timeout }),
        "freeze" => Ok(Action::Freeze),
        "unfreeze" => Ok(Action::Unfreeze),
        other => Err(Error::invalid(format!("Unknown action: '{other}'"))),
    }
}
