//! How each end looks at the other's certificate during the handshake.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::{Certificate, provider};

/// The methods that both of rustls' traits ask for: signatures count as the provider finds them.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

/// For servers: asks for a certificate, takes any and also none.
#[derive(Debug)]
pub struct AnyClient {
    provider: Arc<CryptoProvider>,
}

impl Default for AnyClient {
    fn default() -> AnyClient {
        AnyClient { provider: provider() }
    }
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match Certificate::from_der(end_entity) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(rustls::CertificateError::BadEncoding.into()),
        }
    }

    signatures!();
}

/// The certificate that a server has shown.
pub type Seen = Arc<Mutex<Option<Certificate>>>;

/// For clients: takes the pinned certificate alone, or any when none is pinned, and notes what it saw.
#[derive(Debug)]
pub struct Pinned {
    provider: Arc<CryptoProvider>,
    pin: Option<Certificate>,
    seen: Seen,
}

impl Pinned {
    /// Takes only this certificate; without one any. What the server shows goes into `seen`.
    pub fn new(pin: Option<Certificate>, seen: Seen) -> Pinned {
        Pinned { provider: provider(), pin, seen }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let bad = |_| Error::from(rustls::CertificateError::BadEncoding);
        let shown = Certificate::from_der(end_entity).map_err(bad)?;
        let taken = self.pin.as_ref().is_none_or(|pin| *pin == shown);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match taken {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    signatures!();
}
