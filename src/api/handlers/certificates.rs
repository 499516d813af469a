//! `/1.0/certificates`: the trust store.

use super::{list as render_list, overlay, url};
use crate::api::request::{Request, owned};
use crate::api::response::{Reply, check_etag};
use crate::api::types::{Certificate, CertificatePut, CertificatesPost};
use crate::{Error, Kind, Result};

fn put_of(present: &Certificate) -> CertificatePut {
    CertificatePut {
        name: present.name.clone(),
        kind: present.kind.clone(),
        restricted: present.restricted,
        projects: present.projects.clone(),
        certificate: present.certificate.clone(),
    }
}

/// `GET`.
pub async fn list(request: Request) -> Result<Reply> {
    render_list(&request, &request.services.certificates.list()?, |c| url::of("certificates", &c.fingerprint, ""))
}

/// `POST`: trusts a certificate: one that a trusted caller sends, or one whose owner knows the password.
pub async fn create(mut request: Request) -> Result<Reply> {
    let post: CertificatesPost = request.json().await?;
    let certificates = request.services.certificates.clone();
    if !request.caller.trusted && !certificates.lets_in(&post.password).await? {
        return Err(Error::new(Kind::Forbidden, "not authorized"));
    }
    if post.token {
        return Err(Error::unsupported("Making a token for a client"));
    }
    if request.caller.trusted && post.certificate.is_empty() {
        return Err(Error::invalid("Client is already trusted"));
    }
    let (shown, by) = (request.shown.clone(), request.caller.requestor());
    let fingerprint = owned(async move { certificates.add(post, shown.as_deref(), by).await }).await?;
    Ok(Reply::Created(url::of("certificates", &fingerprint, "")))
}

/// `GET {fingerprint}`, which may be cut short as long as it names one certificate.
pub async fn get(request: Request) -> Result<Reply> {
    let certificate = request.services.certificates.get(request.param(0))?;
    Reply::with_etag(&certificate, &certificate)
}

/// `PUT {fingerprint}`: replaces what can be edited.
pub async fn put(mut request: Request) -> Result<Reply> {
    let put: CertificatePut = request.json().await?;
    change(request, move |_| Ok(put.clone())).await
}

/// `PATCH {fingerprint}`: changes what is named.
pub async fn patch(mut request: Request) -> Result<Reply> {
    let patch = request.patch::<CertificatePut>().await?;
    change(request, move |present| overlay(&put_of(present), patch.clone())).await
}

async fn change(
    request: Request,
    new: impl Fn(&Certificate) -> Result<CertificatePut> + Send + Sync + 'static,
) -> Result<Reply> {
    let (certificates, fingerprint) = (request.services.certificates.clone(), request.param(0).to_owned());
    let (by, headers) = (request.caller.requestor(), request.headers.clone());
    let decide = move |present: &Certificate| {
        check_etag(&headers, present)?;
        new(present)
    };
    owned(async move { certificates.update(&fingerprint, decide, by).await }).await?;
    Ok(Reply::empty())
}

/// `DELETE {fingerprint}`.
pub async fn delete(request: Request) -> Result<Reply> {
    let (certificates, fingerprint) = (request.services.certificates.clone(), request.param(0).to_owned());
    let by = request.caller.requestor();
    owned(async move { certificates.remove(&fingerprint, by).await }).await?;
    Ok(Reply::empty())
}
