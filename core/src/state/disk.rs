//! Tables in one file of an embedded database (redb), which one process has at a time.
//!
//! The file appears whole, under its name, or not at all. After an error of the disk the database is opened anew, as
//! redb asks for: so what was full once works again when there is room.

use std::fmt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};

use super::{Batch, Row, StateStore};
use crate::{Error, ErrorKind, Result, ResultExt};

/// Bytes of the file that are kept in memory: tables of a head are small, and read once.
const CACHE_BYTES: usize = 4 << 20;
/// The table that says what the file is.
const ABOUT: &str = "sheaf";
const FORMAT_KEY: &[u8] = b"format";
/// Which tables there are, and what is in them. A file with a greater number is not touched.
const FORMAT: u32 = 1;

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
type Open = Box<dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync>;

fn rows(table: &str) -> Rows<'_> {
    TableDefinition::new(table)
}

/// Tables in a file.
pub struct DiskStore {
    path: PathBuf,
    open: Open,
    /// `None` after an error, until it is opened again.
    database: Mutex<Option<Database>>,
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens a file, which is made with its folders if it is not there. It is locked until this is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another process has it, [`ErrorKind::CorruptFile`] when it is damaged or no such
    /// file, [`ErrorKind::Unsupported`] when a newer Sheaf made it; else what the system says.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = || format!("opening the state in {}", path.display());
        if !path.exists() {
            create(path).with_context(failed)?;
        }
        let file = path.to_path_buf();
        Self::with(path, Box::new(move || builder().open(&file))).with_context(failed)
    }

    fn with(path: &Path, open: Open) -> Result<Self> {
        let store = Self { path: path.to_path_buf(), open, database: Mutex::new(None) };
        store.with_database(check_format)?;
        Ok(store)
    }

    /// Does something with the database, which is opened anew if it failed the last time.
    fn with_database<T>(&self, act: impl FnOnce(&Database) -> std::result::Result<T, Failed>) -> Result<T> {
        let mut database = self.database.lock();
        if database.is_none() {
            *database = Some((self.open)().map_err(|error| self.told(error.into()))?);
        }
        let Some(open) = &*database else { return Err(Error::internal("a database is not open")) };
        act(open).map_err(|failed| {
            *database = None;
            match failed {
                Failed::Redb(error) => self.told(*error),
                Failed::Told(error) => error,
            }
        })
    }

    /// An error of redb's, in our words.
    fn told(&self, error: redb::Error) -> Error {
        let path = self.path.display();
        let (kind, message, hint) = match &error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => (
                ErrorKind::Conflict,
                format!("another process has {path}"),
                "one head runs on one state: end the other one, or give this one a folder of its own (--state-dir)",
            ),
            redb::Error::UpgradeRequired(_) => (
                ErrorKind::Unsupported,
                format!("{path} has a format of the database that is too old: {error}"),
                "start with an empty folder; nodes then begin anew",
            ),
            redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => damaged(&self.path, &error),
            redb::Error::Io(io) => {
                let kind = Error::from(std::io::Error::from(io.kind())).kind();
                let kind = if io.raw_os_error() == Some(libc::ENOSPC) { ErrorKind::DiskFull } else { kind };
                let hint = match kind {
                    ErrorKind::DiskFull => "make room on that disk",
                    ErrorKind::PermissionDenied => "it has to be readable and writable by the user who runs the head",
                    _ => "look at the disk",
                };
                (kind, format!("{path} cannot be read or written: {io}"), hint)
            }
            redb::Error::Corrupted(_) => damaged(&self.path, &error),
            _ => (ErrorKind::Io, format!("{path} cannot be read or written: {error}"), "look at the disk"),
        };
        Error::new(kind, message).with_hint(hint).with_source(error)
    }
}

fn damaged(path: &Path, error: &redb::Error) -> (ErrorKind, String, &'static str) {
    let message = format!("{} is damaged, or no state of Sheaf: {error}", path.display());
    (ErrorKind::CorruptFile, message, "move it away to begin with nothing, or bring back a copy; nodes then begin anew")
}

/// What went wrong with a database.
enum Failed {
    Redb(Box<redb::Error>),
    Told(Error),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Redb(Box::new(error.into()))
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    // A file that was damaged by others is told to be, and not trusted.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Makes the file under another name, and gives it its own when it is whole.
fn create(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?.into_temp_path();
    let made = || -> std::result::Result<(), Failed> {
        let database = builder().create(&draft)?;
        write_format(&database, FORMAT)?;
        Ok(database.close()?)
    };
    made().map_err(|failed| match failed {
        Failed::Redb(error) => match *error {
            redb::Error::Io(io) => Error::from(io),
            other => Error::new(ErrorKind::Io, other.to_string()),
        },
        Failed::Told(error) => error,
    })?;
    match draft.persist_noclobber(path) {
        // Another process was faster: it has it, or will soon have ended.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(|error| error.error)?,
    }
    // The name is on disk too.
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

fn write_format(database: &Database, format: u32) -> std::result::Result<(), Failed> {
    let transaction = database.begin_write()?;
    transaction.open_table(rows(ABOUT))?.insert(FORMAT_KEY, &format.to_be_bytes()[..])?;
    Ok(transaction.commit()?)
}

fn check_format(database: &Database) -> std::result::Result<(), Failed> {
    let no_state = || Failed::Told(Error::new(ErrorKind::CorruptFile, "the file is no state of Sheaf's"));
    let about = match database.begin_read()?.open_table(rows(ABOUT)) {
        Err(TableError::TableDoesNotExist(_)) => return Err(no_state()),
        about => about?,
    };
    let format = about.get(FORMAT_KEY)?.and_then(|found| found.value().try_into().ok()).map(u32::from_be_bytes);
    match format {
        Some(format) if format <= FORMAT => Ok(()),
        Some(format) => Err(Failed::Told(
            Error::new(
                ErrorKind::Unsupported,
                format!("it has format {format}, and this Sheaf knows formats up to {FORMAT}"),
            )
            .with_hint("a newer Sheaf made it: run that one, or start with another folder"),
        )),
        None => Err(no_state()),
    }
}

impl StateStore for DiskStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        self.with_database(|database| {
            // On disk when it returns: that is what redb does unless it is told otherwise.
            let transaction = database.begin_write()?;
            for (table, changes) in batch.tables() {
                let mut table = transaction.open_table(rows(table))?;
                for (key, value) in changes {
                    match value {
                        Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                        None => table.remove(key.as_slice())?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with_database(|database| match database.begin_read()?.open_table(rows(table)) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => Ok(table?.get(key)?.map(|value| value.value().to_vec())),
        })
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Row>> {
        self.with_database(|database| {
            let table = match database.begin_read()?.open_table(rows(table)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut found = Vec::new();
            for row in table.range::<&[u8]>(prefix..)? {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use redb::StorageBackend;

    use super::*;
    use crate::state::conformance::{Reopened, conforms};

    struct Folder(tempfile::TempDir);

    impl Reopened for Folder {
        fn open(&self) -> Arc<dyn StateStore> {
            Arc::new(DiskStore::open(&self.file()).unwrap())
        }
    }

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("a folder/head.redb")
        }
    }

    #[test]
    fn a_file_is_a_store() {
        conforms(&Folder::new());
    }

    #[test]
    fn one_process_has_it_and_nothing_but_it_is_left_in_its_folder() {
        let folder = Folder::new();
        let store = DiskStore::open(&folder.file()).unwrap();
        let error = DiskStore::open(&folder.file()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = error.to_string();
        assert!(text.contains("another process has") && text.contains("--state-dir"), "{text}");
        drop(store);
        DiskStore::open(&folder.file()).unwrap();
        assert_eq!(std::fs::read_dir(folder.file().parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_a_newer_format_and_one_of_others_are_not_touched() {
        let folder = Folder::new();
        drop(DiskStore::open(&folder.file()).unwrap());
        let database = builder().open(folder.file()).unwrap();
        assert!(write_format(&database, FORMAT + 1).is_ok());
        drop(database);
        let error = DiskStore::open(&folder.file()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("a newer Sheaf made it"), "{error}");
        std::fs::remove_file(folder.file()).unwrap();
        drop(builder().create(folder.file()).unwrap());
        assert_eq!(DiskStore::open(&folder.file()).unwrap_err().kind(), ErrorKind::CorruptFile);
    }

    #[test]
    fn a_damaged_file_is_told_and_not_used() {
        let folder = Folder::new();
        let store = DiskStore::open(&folder.file()).unwrap();
        let mut batch = Batch::default();
        (0..2_000_u32).for_each(|n| batch.put("numbers", n.to_be_bytes(), vec![7; 50]));
        store.commit(&batch).unwrap();
        drop(store);
        let whole = std::fs::read(folder.file()).unwrap();
        // In the head of the file, and over the pages of the rows.
        let rows = whole.windows(50).position(|bytes| bytes == [7; 50]).unwrap();
        for (at, long) in [(0, 4), (rows + 100, 30_000)] {
            let mut damaged = whole.clone();
            damaged[at..at + long].fill(0xAA);
            std::fs::write(folder.file(), damaged).unwrap();
            let error = DiskStore::open(&folder.file()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptFile, "{error}");
            assert!(error.to_string().contains("move it away"), "{error}");
        }
        std::fs::write(folder.file(), &whole[..whole.len() / 3]).unwrap();
        assert!(DiskStore::open(&folder.file()).is_err(), "it is cut off");
    }

    /// A disk that takes so many writes, and half of one more.
    #[derive(Debug)]
    struct Torn {
        bytes: Arc<Mutex<Vec<u8>>>,
        writes_left: Arc<Mutex<u64>>,
    }

    impl StorageBackend for Torn {
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.lock().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            out.copy_from_slice(&self.bytes.lock()[offset as usize..][..out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.bytes.lock().resize(len as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            match *self.writes_left.lock() {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let mut left = self.writes_left.lock();
            let written = match *left {
                0 => return Err(io::ErrorKind::StorageFull.into()),
                1 => &data[..data.len() / 2],
                _ => data,
            };
            *left -= 1;
            self.bytes.lock()[offset as usize..][..written.len()].copy_from_slice(written);
            match *left {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn wherever_a_write_breaks_off_a_batch_is_made_or_not_and_a_full_disk_is_full_only_as_long_as_it_is() {
        let (bytes, writes_left) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(u64::MAX)));
        let open = || {
            let (bytes, writes_left) = (Arc::clone(&bytes), Arc::clone(&writes_left));
            let torn = move || Torn { bytes: Arc::clone(&bytes), writes_left: Arc::clone(&writes_left) };
            DiskStore::with(Path::new("torn"), Box::new(move || builder().create_with_backend(torn())))
        };
        assert!(
            write_format(
                &builder()
                    .create_with_backend(Torn { bytes: Arc::clone(&bytes), writes_left: Arc::clone(&writes_left) })
                    .unwrap(),
                FORMAT
            )
            .is_ok()
        );
        let batch = |number: u32| {
            let mut batch = Batch::default();
            (0..40_u32).for_each(|row| batch.put("rows", row.to_be_bytes(), number.to_be_bytes()));
            batch
        };
        let mut store = open().unwrap();
        store.commit(&batch(0)).unwrap();
        let (mut last, mut made, mut not_made) = (0, 0, 0);
        for number in 1..60 {
            *writes_left.lock() = u64::from(number % 20);
            let told = store.commit(&batch(number));
            if let Err(error) = &told {
                assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
            }
            // Either the disk has room again, or the machine stopped and what was on the disk is what there is.
            let crashed = bytes.lock().clone();
            *writes_left.lock() = u64::MAX;
            if number % 2 == 0 {
                drop(store);
                bytes.lock().clone_from(&crashed);
                store = open().unwrap();
            }
            let rows = store.scan("rows", b"").unwrap();
            assert_eq!(rows.len(), 40);
            let first = rows[0].1.clone();
            assert!(rows.iter().all(|(_, value)| *value == first), "batch {number} is torn");
            let found = u32::from_be_bytes(first.try_into().unwrap());
            assert!(found == number || (found == last && told.is_err()), "{found} after {number}, {told:?}");
            (made, not_made) = (made + u32::from(found == number), not_made + u32::from(found != number));
            last = found;
        }
        assert!(made > 5 && not_made > 5, "{made} were made and {not_made} not");
    }
}
