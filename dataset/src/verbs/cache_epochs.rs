//! `cache_epochs`: the first epoch as it is computed, the later ones from a folder.

use std::sync::Arc;

use sheaf_core::Result;

use crate::dataset::Dataset;
use crate::operators::epochs::EpochsTable;
use crate::operators::epochs::folder::EpochsFolder;
use crate::verbs::fingerprint::fingerprint;

impl Dataset {
    /// The same rows, computed once: a run that is read to its end leaves them in the folder `target`, and from then on
    /// runs, of this and of later programs, read them there, in the same partitions and the same order. A run that is
    /// not read to its end leaves nothing, and neither does one that is killed, once the next begins. Runs at the same
    /// time do not disturb each other; the first to end leaves its rows.
    ///
    /// The cache belongs to this plan over its inputs as they are now, told apart as by [`Dataset::checkpoint`]. With
    /// `overwrite` that of another plan is replaced when the first run ends.
    ///
    /// # Errors
    /// - [`sheaf_core::ErrorKind::AlreadyExists`] where the folder has the epochs of another plan or of other inputs,
    ///   unless they are to be replaced, and where it has files of somebody else's.
    /// - [`sheaf_core::ErrorKind::InvalidInput`] for a folder that is not on this machine.
    pub async fn cache_epochs(&self, target: &str, overwrite: bool) -> Result<Self> {
        let session = self.session();
        let (dataset, stores, target) = (self.clone(), Arc::clone(session.stores()), target.to_string());
        let folder = session.run(async move {
            let label = fingerprint(&dataset).await?;
            let folder = EpochsFolder::at(&stores, &target, label, overwrite)?;
            drop(folder.kept().await?);
            Ok(folder)
        });
        let table = EpochsTable::new(folder.await?, self.logical_plan().clone(), self.schema());
        session.from_provider(Arc::new(table))
    }
}
