//! Making an image of an instance or snapshot: packed, compressed, hashed and stored in one pass.

use std::os::fd::OwnedFd;

use super::Instances;
use super::container::pack::{self, Archive};
use super::packing::{self, Source};
use crate::api::types::{self, EventRequestor, ImageMetadata, ImagesPost, Operation, Timestamp};
use crate::runtime::blocking;
use crate::runtime::images::metadata::validate;
use crate::runtime::images::place::{Place, Text};
use crate::runtime::images::service::{NewImage, Receiving};
use crate::runtime::leases::{Class, Want};
use crate::runtime::operations::{Handle, NewOperation, Progress, Stage};
use crate::runtime::spec::pack::{Algorithm, Compression, Part};
use crate::runtime::sys::fault;
use crate::store::records::InstanceRecord;
use crate::store::repo;
use crate::{Ctx, Error, Kind, Result};

/// What an image is made of.
enum Origin {
    /// An instance.
    Instance(Box<InstanceRecord>),
    /// One of its snapshots.
    Snapshot(Box<InstanceRecord>, String),
    /// A request that can't be fulfilled: LXD says so in the operation.
    Refused(&'static str),
}

impl Instances {
    /// Makes an image of what `post` names, in the background; the operation tells `fingerprint` and `size`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such instance or snapshot; [`Kind::Invalid`] for a compressor that there isn't.
    pub fn publish(&self, project: &str, post: ImagesPost, by: EventRequestor) -> Result<Operation> {
        let compression = self.compression(&post.compression_algorithm, project, "images.compression_algorithm")?;
        let origin = self.what_to_publish(project, &post)?;
        let (this, project) = (self.clone(), project.to_owned());
        let new = NewOperation::task("Downloading image", &project).by(by.clone());
        Ok(self.operations.start(new, move |handle| async move {
            let (record, snapshot) = match origin {
                Origin::Instance(record) => (record, None),
                Origin::Snapshot(record, name) => (record, Some(name)),
                Origin::Refused(why) => return Err(Error::invalid(why)),
            };
            let name = format!("{}/{}", record.project, record.name);
            let _lease = this.leases.take(vec![Want::shared(Class::Instance, name)]).await;
            let source = match snapshot {
                Some(name) => this.snapshot_source(&record, &name).await?,
                None => this.stopped_source(&record).await?,
            };
            this.make_image((&record, source), &post, compression, &handle).await?;
            this.images.announce_created(&project, &handle, &by);
            for alias in &post.aliases {
                this.images.alias_new_image(&project, alias, &handle.metadata("fingerprint")).await?;
            }
            Ok(())
        }))
    }

    fn what_to_publish(&self, project: &str, post: &ImagesPost) -> Result<Origin> {
        let source = post.source.clone().unwrap_or_default();
        if let Some((name, snapshot)) = source.name.split_once('/') {
            let missing = |_| Error::not_found("Instance not found");
            let record = self.record(project, name)?;
            self.db.view(|v| repo::snapshots::by_name(v, record.id, snapshot)).map_err(missing)?;
            return Ok(match source.kind.as_str() {
                "snapshot" => Origin::Snapshot(Box::new(record), snapshot.to_owned()),
                _ => Origin::Refused("This is a snapshot"),
            });
        }
        match (source.kind.as_str(), source.name.as_str()) {
            (_, "") => Ok(Origin::Refused("No source provided")),
            ("snapshot", name) => {
                self.record(project, name)?;
                Ok(Origin::Refused("Not a snapshot"))
            }
            (_, name) => Ok(Origin::Instance(Box::new(self.record(project, name)?))),
        }
    }

    async fn stopped_source(&self, record: &InstanceRecord) -> Result<Source> {
        let running = || Error::invalid("Cannot export a running instance as an image");
        if self.actor(record.id).live().state.is_up() {
            return Err(running());
        }
        let source = self.source_of(record).await?;
        if source.kept.is_some() { Ok(source) } else { Err(running()) }
    }

    /// Where the pack helper writes an image, and who takes it from there.
    fn receiving(&self, compression: Compression) -> Result<(OwnedFd, Receiving)> {
        if compression.algorithm == Algorithm::Squashfs {
            let (file, receiving) = self.images.receive_written()?;
            return Ok((file.into(), receiving));
        }
        let (out, into) = pack::pipe()?;
        Ok((into, self.images.receive(out)?))
    }

    async fn make_image(
        &self,
        (record, source): (&InstanceRecord, Source),
        post: &ImagesPost,
        compression: Compression,
        handle: &Handle,
    ) -> Result<()> {
        let (place, architecture) = (source.place.clone(), record.architecture.clone());
        let wanted = post.clone();
        let (text, templates) = blocking(move || {
            let text = metadata_of(&place, architecture, &wanted)?;
            Ok((text, packing::beside("", &place)?))
        })
        .await?;
        let Source { root, plain, kept, guest, .. } = source;
        let trees = packing::trees("rootfs", root, &plain);
        let Text { bytes: content, modified } = text;
        let first = Part::File { path: "metadata.yaml".into(), content, modified };
        let parts = std::iter::once(first).chain(templates).chain(trees).collect();
        let archive = Archive { parts, guest, compression, sync: false };
        let (into, receiving) = self.receiving(compression)?;
        fault("daemon.publish.receiving");
        let packing = pack::pack(archive, into, kept).await?;
        let mut progress = Progress::new(handle, Stage::Pack, None);
        let packed = packing.done(|bytes| progress.reach(bytes)).await;
        drop(progress);
        // What keeps the image from being stored also ends the packing: it is the one to tell.
        let received = receiving.done(packed.is_ok()).await?;
        packed?;
        let received = received.ok_or_else(|| Error::internal("Failed receiving an image"))?;
        fault("daemon.publish.received");
        self.images.keep(&record.project, received, wanted_image(post), handle).await
    }
}

fn wanted_image(post: &ImagesPost) -> NewImage {
    NewImage {
        filename: post.filename.clone(),
        public: post.public,
        made_at: Some(Timestamp::now()),
        expires_at: post.expires_at,
        ..NewImage::default()
    }
}

/// Whether metadata would do for an image.
fn is_whole(metadata: &ImageMetadata) -> bool {
    validate(&mut metadata.clone()).is_ok()
}

/// The `metadata.yaml` of the image: the instance's own, with what the request says instead.
fn metadata_of(place: &std::path::Path, architecture: String, post: &ImagesPost) -> Result<Text> {
    let place = Place::open(place)?;
    let now = Timestamp::now().unix();
    let mut image = match (place.metadata()?, place.metadata_text()?) {
        // As it is: what is published twice is the same image twice.
        (Some(image), Some(text)) if post.properties.is_empty() && post.expires_at.is_zero() && is_whole(&image) => {
            return Ok(text);
        }
        // What an image has to say, an instance's metadata may lack.
        (Some(image), _) if !is_whole(&image) => {
            let creation_date = if image.creation_date == 0 { now } else { image.creation_date };
            ImageMetadata { architecture, creation_date, ..image }
        }
        (Some(image), _) => image,
        (None, _) => ImageMetadata { architecture, creation_date: now, ..ImageMetadata::default() },
    };
    if !post.properties.is_empty() {
        image.properties = post.properties.clone();
    }
    if !post.expires_at.is_zero() {
        image.expiry_date = post.expires_at.unix();
    }
    let text = types::to_yaml(&image).ctx(Kind::Internal, || "Failed writing \"metadata.yaml\"")?;
    Ok(Text { bytes: text.into_bytes(), modified: now })
}
