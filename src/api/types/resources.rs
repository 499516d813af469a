//! The hardware of the host, `GET /1.0/resources`.
