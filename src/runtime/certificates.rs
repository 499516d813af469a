//! The trust store: certificates of clients, and how one gets in.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::sync::Semaphore;

use crate::api::tls;
use crate::api::types::{Certificate, CertificatePut, CertificatesPost, EventRequestor, Timestamp};
use crate::runtime::auth::password;
use crate::runtime::blocking;
use crate::runtime::events::Events;
use crate::runtime::url;
use crate::store::records::CertificateRecord;
use crate::store::{Db, repo};
use crate::{Error, Kind, Result};

/// The kind of certificate that opens everything.
const CLIENT: &str = "client";
/// The kind that opens metrics only.
const METRICS: &str = "metrics";
/// How long who gave a wrong password waits for the answer.
const PENALTY: Duration = Duration::from_secs(1);
/// The longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    db: Db,
    events: Events,
    /// One password is looked at at a time: who guesses can't keep all processors busy.
    looking: Arc<Semaphore>,
}

impl Certificates {
    /// Over this store.
    pub fn new(db: Db, events: Events) -> Certificates {
        Certificates { db, events, looking: Arc::new(Semaphore::new(1)) }
    }

    /// All certificates.
    pub fn list(&self) -> Result<Vec<Certificate>> {
        self.db.view(|v| Ok(repo::certificates::list(v)?.into_iter().map(show).collect()))
    }

    /// The one certificate whose fingerprint begins so.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] when there are several.
    pub fn get(&self, fingerprint: &str) -> Result<Certificate> {
        self.db.view(|v| Ok(show(repo::certificates::by_prefix(v, fingerprint)?)))
    }

    /// Whether this certificate opens everything, now.
    pub fn trusts(&self, certificate: &tls::Certificate, fingerprint: &str) -> bool {
        let found = self.db.view(|v| repo::certificates::get(v, fingerprint));
        let known = found.ok().flatten().is_some_and(|kept| kept.kind == CLIENT && !kept.restricted);
        known && certificate.is_valid_at(Timestamp::now().to_utc())
    }

    /// Whether this is the password that lets new clients in; a wrong one is answered late.
    pub async fn lets_in(&self, given: &str) -> Result<bool> {
        let kept = self.db.view(|v| repo::server::get(v, "core.trust_password"))?;
        let (Some(kept), false) = (kept, given.is_empty()) else { return Ok(false) };
        let given = given.to_owned();
        let right = {
            let _alone = self.looking.acquire().await;
            blocking(move || Ok(password::matches(&kept, &given))).await?
        };
        if !right {
            tokio::time::sleep(PENALTY).await;
        }
        Ok(right)
    }

    /// Trusts a certificate; `shown` is the one the caller has shown, which counts when the request has none.
    /// Returns the fingerprint.
    ///
    /// # Errors
    /// [`Kind::Exists`]; [`Kind::Invalid`] for what is no certificate; [`Kind::Unsupported`] for restrictions.
    pub async fn add(
        &self,
        post: CertificatesPost,
        shown: Option<&tls::Certificate>,
        by: EventRequestor,
    ) -> Result<String> {
        let kind = known_kind(&post.kind)?;
        unrestricted(post.restricted, &post.projects)?;
        let given = match post.certificate.as_str() {
            "" => shown.cloned().ok_or_else(|| Error::invalid("No client certificate provided"))?,
            text => decode(text)?,
        };
        let name = match post.name.is_empty() {
            true => given.facts().common_name,
            false => post.name,
        };
        named(&name)?;
        let fingerprint = given.fingerprint();
        let record = CertificateRecord {
            fingerprint: fingerprint.clone(),
            kind: kind.into(),
            name,
            certificate: given.pem(),
            ..CertificateRecord::default()
        };
        self.db.transact(|tx| repo::certificates::insert(tx, &record)).await?;
        self.tell("certificate-created", &fingerprint, &by);
        Ok(fingerprint)
    }

    /// Changes a certificate's name; `decide` gets the present one and may run several times.
    ///
    /// # Errors
    /// Those of `decide`, of [`Certificates::get`]; [`Kind::Forbidden`] when the kind would change.
    pub async fn update(
        &self,
        fingerprint: &str,
        decide: impl Fn(&Certificate) -> Result<CertificatePut> + Sync,
        by: EventRequestor,
    ) -> Result<()> {
        let change = |tx: &mut crate::store::Tx| {
            let present = repo::certificates::by_prefix(tx, fingerprint)?;
            let put = decide(&show(present.clone()))?;
            if put.kind != present.kind {
                return Err(Error::new(Kind::Forbidden, "The certificate type cannot be changed"));
            }
            unrestricted(put.restricted, &put.projects)?;
            named(&put.name)?;
            if !put.certificate.is_empty() && put.certificate.trim() != present.certificate.trim() {
                return Err(Error::unsupported("Replacing a certificate by another one"));
            }
            let changed = CertificateRecord { name: put.name, ..present };
            repo::certificates::update(tx, &changed)?;
            Ok(changed.fingerprint)
        };
        let (fingerprint, _) = self.db.transact(change).await?;
        self.tell("certificate-updated", &fingerprint, &by);
        Ok(())
    }

    /// Trusts a certificate no more; from the next request on.
    ///
    /// # Errors
    /// Those of [`Certificates::get`].
    pub async fn remove(&self, fingerprint: &str, by: EventRequestor) -> Result<()> {
        let gone = self.db.transact(|tx| {
            let found = repo::certificates::by_prefix(tx, fingerprint)?.fingerprint;
            repo::certificates::remove(tx, &found)?;
            Ok(found)
        });
        let (fingerprint, _) = gone.await?;
        self.tell("certificate-deleted", &fingerprint, &by);
        Ok(())
    }

    fn tell(&self, action: &'static str, fingerprint: &str, by: &EventRequestor) {
        self.events.announce("default", action, url::of("certificates", fingerprint, "default"), by);
    }
}

fn show(record: CertificateRecord) -> Certificate {
    Certificate {
        name: record.name,
        kind: record.kind,
        restricted: record.restricted,
        projects: record.projects,
        certificate: record.certificate,
        fingerprint: record.fingerprint,
    }
}

fn known_kind(kind: &str) -> Result<&'static str> {
    match kind {
        CLIENT => Ok(CLIENT),
        METRICS => Ok(METRICS),
        "server" => Err(Error::unsupported("A certificate of the type \"server\"")),
        _ => Err(Error::invalid("Invalid certificate type")),
    }
}

fn unrestricted(restricted: bool, projects: &[String]) -> Result<()> {
    match restricted || !projects.is_empty() {
        true => Err(Error::unsupported("A certificate that is restricted to projects")),
        false => Ok(()),
    }
}

fn named(name: &str) -> Result<()> {
    match name.len() > LONGEST_NAME || name.contains(char::is_control) {
        true => Err(Error::invalid(format!("The name of a certificate is at most {LONGEST_NAME} printable bytes"))),
        false => Ok(()),
    }
}

/// DER in Base64, broken into lines or not (pylxd does).
fn decode(text: &str) -> Result<tls::Certificate> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let der = BASE64.decode(plain.as_bytes());
    let der = der.map_err(|e| Error::invalid(format!("illegal base64 data at input byte {}", e.position)))?;
    tls::Certificate::from_der(&der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tls::{Role, make};

    fn by() -> EventRequestor {
        crate::runtime::auth::Caller::unix(0).requestor()
    }

    fn service() -> Certificates {
        Certificates::new(Db::memory().unwrap(), Events::default())
    }

    #[tokio::test]
    async fn a_certificate_is_trusted_until_it_is_removed() {
        let (service, made) = (service(), make(Role::Client, "me@here").unwrap().certificate);
        let fingerprint = made.fingerprint();
        assert!(!service.trusts(&made, &fingerprint));
        let post = || CertificatesPost { kind: "client".into(), ..CertificatesPost::default() };
        assert_eq!(service.add(post(), Some(&made), by()).await.unwrap(), fingerprint);
        assert!(service.trusts(&made, &fingerprint));
        assert_eq!(service.get(&fingerprint[..5]).unwrap().name, "me@here");
        assert_eq!(service.add(post(), Some(&made), by()).await.unwrap_err().kind(), Kind::Exists);
        service.remove(&fingerprint[..8], by()).await.unwrap();
        assert!(!service.trusts(&made, &fingerprint));
        assert_eq!(service.get("").unwrap_err().kind(), Kind::NotFound);
    }

    #[tokio::test]
    async fn one_for_metrics_opens_nothing_else() {
        let (service, made) = (service(), make(Role::Client, "me@here").unwrap().certificate);
        let certificate = BASE64.encode(made.der());
        let post = CertificatesPost { kind: "metrics".into(), certificate, ..CertificatesPost::default() };
        let fingerprint = service.add(post, None, by()).await.unwrap();
        assert!(!service.trusts(&made, &fingerprint));
    }

    #[tokio::test]
    async fn what_comes_later_is_refused_by_name() {
        let (service, made) = (service(), make(Role::Client, "me@here").unwrap().certificate);
        for post in [
            CertificatesPost { kind: "server".into(), ..CertificatesPost::default() },
            CertificatesPost { kind: "client".into(), restricted: true, ..CertificatesPost::default() },
        ] {
            let refused = service.add(post, Some(&made), by()).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Unsupported);
        }
        assert!(!service.lets_in("x").await.unwrap());
    }
}
