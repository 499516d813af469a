//! Uploads: bytes go to a receiver on a thread of its own, and become an image in the background.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Images, profile_ids};
use crate::api::types::{EventRequestor, Operation, Timestamp};
use crate::runtime::events::Lifecycle;
use crate::runtime::images::import::{Imported, Received, Receiver};
use crate::runtime::images::unpack::{Limits, Runner};
use crate::runtime::leases::{Class, Want};
use crate::runtime::operations::{Handle, NewOperation};
use crate::runtime::sys::fault;
use crate::runtime::{blocking, url};
use crate::store::records::{ImageRecord, InstanceKind};
use crate::store::repo;
use crate::{Ctx, Error, Kind, Result};

/// Chunks that wait for the disk; then the client waits.
const QUEUE: usize = 16;
/// Bytes taken out of a pipe at once.
const PIECE: usize = 256 << 10;
/// The largest image that is taken, in bytes.
const MAX: u64 = 64 << 30;

/// What the uploader says about the image.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    /// The file's name.
    pub filename: String,
    /// Whether untrusted callers see it.
    pub public: bool,
    /// What the fingerprint has to be; empty for whatever it is.
    pub fingerprint: String,
    /// Properties beside the image's own.
    pub properties: BTreeMap<String, String>,
    /// Names of profiles; `default` when there are none.
    pub profiles: Vec<String>,
    /// When it may go.
    pub expires_at: Timestamp,
    /// When it was made here of an instance: then it is not what its metadata say that counts.
    pub made_at: Option<Timestamp>,
}

/// An upload in progress. Dropping it removes what has arrived.
pub struct Upload {
    chunks: mpsc::Sender<Bytes>,
    receiver: JoinHandle<Result<Receiver>>,
}

impl Upload {
    /// Takes more bytes; waits while the disk is slower than the client.
    ///
    /// # Errors
    /// What the receiver failed with: a full disk, an image too large, parts in the wrong order.
    pub async fn write(self, chunk: Bytes) -> Result<Upload> {
        if self.chunks.send(chunk).await.is_ok() {
            return Ok(self);
        }
        match self.receiver.await.ctx(Kind::Internal, || "Failed receiving an image")? {
            Err(e) => Err(e),
            Ok(_) => Err(Error::internal("Failed receiving an image")),
        }
    }

    pub(super) async fn finish(self, wanted: String) -> Result<Received> {
        drop(self.chunks);
        let receiver = self.receiver.await.ctx(Kind::Internal, || "Failed receiving an image")??;
        blocking(move || receiver.finish((!wanted.is_empty()).then_some(wanted.as_str()))).await
    }
}

/// An image that comes out of a pipe, or that somebody writes into its file. Dropping it stops nothing: what has come is removed when the
/// pipe ends, the file at once.
pub enum Receiving {
    /// The task that reads the pipe.
    Pipe(JoinHandle<Result<Receiver>>),
    /// The file.
    File(Box<Receiver>),
}

impl Receiving {
    /// Waits for the end of the pipe, or reads the file, in which all is by now. What came is an image only if it is `complete`.
    ///
    /// # Errors
    /// What the receiver failed with: a full disk, an image too large.
    pub async fn done(self, complete: bool) -> Result<Option<Received>> {
        let (mut receiver, written) = match self {
            Receiving::Pipe(task) => {
                (Box::new(task.await.ctx(Kind::Internal, || "Failed receiving an image")??), false)
            }
            Receiving::File(receiver) => (receiver, true),
        };
        let whole = move || {
            if written {
                receiver.take_in()?;
            }
            receiver.finish(None).map(Some)
        };
        if complete { blocking(whole).await } else { Ok(None) }
    }
}

impl Images {
    /// Begins to take an image out of a pipe.
    pub fn receive(&self, pipe: std::os::fd::OwnedFd) -> Result<Receiving> {
        let mut receiver = Receiver::new(&self.directory, None, MAX)?;
        let receive = move || {
            let mut buffer = vec![0; PIECE];
            loop {
                let read = rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut buffer[..]));
                match read.ctx(Kind::Internal, || "Failed receiving an image")? {
                    0 => return Ok(receiver),
                    got => receiver.write(&buffer[..got])?,
                }
            }
        };
        Ok(Receiving::Pipe(tokio::task::spawn_blocking(receive)))
    }

    /// Begins an image that is written into this file.
    pub fn receive_written(&self) -> Result<(std::fs::File, Receiving)> {
        let receiver = Receiver::new(&self.directory, None, MAX)?;
        Ok((receiver.file()?, Receiving::File(Box::new(receiver))))
    }

    /// Begins an upload of this content type.
    pub fn upload(&self, content_type: &str) -> Result<Upload> {
        let mut receiver = Receiver::new(&self.directory, Some(content_type), MAX)?;
        let (chunks, mut queue) = mpsc::channel::<Bytes>(QUEUE);
        let receiver = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = queue.blocking_recv() {
                receiver.write(&chunk)?;
                fault("daemon.import.receiving");
            }
            Ok(receiver)
        });
        Ok(Upload { chunks, receiver })
    }

    /// Makes an image of a complete upload, in the background; its operation tells `fingerprint` and `size`.
    pub fn import(&self, project: &str, upload: Upload, wanted: NewImage, by: EventRequestor) -> Operation {
        let (this, project) = (self.clone(), project.to_owned());
        let new = NewOperation::task("Downloading image", &project).by(by.clone());
        self.operations.start(new, move |handle| async move {
            let received = upload.finish(wanted.fingerprint.clone()).await?;
            fault("daemon.import.received");
            this.keep(&project, received, wanted, &handle).await?;
            this.announce_created(&project, &handle, &by);
            Ok(())
        })
    }

    /// Tells about the image that an operation has made.
    pub fn announce_created(&self, project: &str, handle: &Handle, by: &EventRequestor) {
        let context = serde_json::Map::from_iter([("type".to_owned(), "container".into())]);
        self.events.lifecycle(Lifecycle {
            project,
            action: "image-created",
            source: url::of("images", &handle.metadata("fingerprint"), project),
            context: Some(context),
            requestor: Some(by),
        });
    }

    /// Makes an image of what was received; the operation tells its `fingerprint` and `size`.
    ///
    /// # Errors
    /// [`Kind::Exists`] when there is this image already; [`Kind::Invalid`] when it is none.
    pub async fn keep(&self, project: &str, received: Received, wanted: NewImage, handle: &Handle) -> Result<()> {
        let inspection = Runner::own().inspect(received.files()?, Limits::default()).await?;
        let fingerprint = received.fingerprint().to_owned();
        if wanted.made_at.is_some() {
            handle.set("fingerprint", fingerprint.clone());
            handle.set("size", received.size().to_string());
        }
        let _lease = self.leases.take(vec![Want::exclusive(Class::Image, &fingerprint)]).await;
        if self.db.view(|v| repo::images::by_fingerprint(v, project, &fingerprint)).is_ok() {
            return Err(match wanted.made_at {
                Some(_) => Error::new(Kind::Exists, format!("The image already exists: {fingerprint}")),
                None => Error::new(Kind::Exists, "Image with same fingerprint already exists"),
            });
        }
        let imported = blocking(move || received.commit(&inspection)).await?;
        fault("daemon.import.committed");
        let record = record(project, imported, wanted.clone());
        let size = record.size;
        let added = self
            .db
            .transact(|tx| {
                let names =
                    if wanted.profiles.is_empty() { vec!["default".to_owned()] } else { wanted.profiles.clone() };
                let record = ImageRecord { profiles: profile_ids(tx, project, &names)?, ..record.clone() };
                repo::images::insert(tx, &record)
            })
            .await;
        if let Err(e) = added {
            let files = self.files(&record);
            blocking(move || files.remove()).await?;
            return Err(e);
        }
        fault("daemon.import.recorded");
        handle.set("fingerprint", fingerprint);
        handle.set("size", size.to_string());
        Ok(())
    }
}

fn record(project: &str, imported: Imported, wanted: NewImage) -> ImageRecord {
    let metadata = imported.metadata;
    let mut properties = metadata.properties;
    properties.extend(wanted.properties);
    ImageRecord {
        project: project.into(),
        fingerprint: imported.fingerprint,
        filename: wanted.filename,
        size: imported.size,
        architecture: metadata.architecture,
        kind: InstanceKind::Container,
        public: wanted.public,
        auto_update: false,
        cached: false,
        properties,
        profiles: Vec::new(),
        created_at: wanted.made_at.unwrap_or(Timestamp::from_unix(metadata.creation_date)),
        expires_at: match wanted.made_at.is_some() || wanted.expires_at.is_set() {
            true => wanted.expires_at,
            false => Timestamp::from_unix(metadata.expiry_date),
        },
        uploaded_at: Timestamp::now(),
        last_used_at: Timestamp::ZERO,
        split: imported.split,
        source: None,
    }
}
