//! What a stranger may send over TLS before anybody trusts him: a certificate, the head of a request up to its route,
//! the body of `POST /1.0/certificates`, and what is kept of a password.
#![no_main]

use hyper::Method;
use libfuzzer_sys::fuzz_target;
use lxbox::api::request::{Query, json};
use lxbox::api::routes;
use lxbox::api::tls::Certificate;
use lxbox::api::types::CertificatesPost;

fn certificate(der: &[u8]) {
    let Ok(taken) = Certificate::from_der(der) else { return };
    assert_eq!(taken.fingerprint().len(), 64);
    assert!(!taken.facts().common_name.contains(char::is_control));
    assert_eq!(Certificate::from_pem(&taken.pem()).unwrap(), taken);
}

/// The head as hyper reads it, as far as the table of routes.
fn head(text: &str) {
    let mut words = text.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<hyper::Uri>()) else { return };
    Query::parse(uri.query().unwrap_or(""));
    if let Ok((route, params)) = routes::find(&method, uri.path()) {
        assert_eq!(route.method, method);
        assert_eq!(params.len(), route.path.matches('{').count());
        // Nothing that changes the host is open to strangers.
        assert!(!route.is_open() || method == Method::GET || route.path == "/1.0/certificates");
    }
}

fuzz_target!(|data: &[u8]| {
    certificate(data);
    let _ = json::parse::<CertificatesPost>(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Certificate::from_pem(text);
        head(text);
    }
});
