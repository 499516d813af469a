//! The websockets of an operation: one secret each, to be used once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;

use crate::order::Order;
use crate::runtime::random;
use crate::{Error, Kind, Result};

/// A connected websocket.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A socket's secret, its name, and where to hand it once it is connected.
type Slot = (String, String, Option<oneshot::Sender<Socket>>);

/// The websockets an operation waits for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sockets(Arc<Mutex<Vec<Slot>>>);

impl Sockets {
    /// Sockets of these names, and what receives each once it is connected.
    pub fn new(names: &[&str]) -> (Sockets, HashMap<String, oneshot::Receiver<Socket>>) {
        let (mut slots, mut receivers) = (Vec::new(), HashMap::new());
        for name in names {
            let (sender, receiver) = oneshot::channel();
            slots.push((random::hex(32), (*name).to_owned(), Some(sender)));
            receivers.insert((*name).to_owned(), receiver);
        }
        (Sockets(Arc::new(Mutex::new(slots))), receivers)
    }

    /// The `fds` object clients read the secrets from.
    pub fn secrets(&self) -> Map<String, Value> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> = slots.iter().map(|s| (s.1.clone(), Value::from(s.0.clone()))).collect();
        rows.order_by(|a, b| a.0.cmp(&b.0));
        rows.into_iter().collect()
    }

    /// Takes the slot that this secret opens.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a wrong secret and for the second use of a right one.
    pub fn claim(&self, secret: &str) -> Result<oneshot::Sender<Socket>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.iter_mut().find(|slot| constant_time_eq(&slot.0, secret));
        slot.and_then(|slot| slot.2.take()).ok_or_else(|| Error::new(Kind::Forbidden, "not authorized"))
    }
}

/// Compares without telling by its time where the texts differ.
pub(super) fn constant_time_eq(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
