//! What a session takes of its machine.

use sheaf::{Options, Session};

/// Threads as the settings tell them, as they run, and as plans are spread over them.
fn threads(options: Options) -> [usize; 3] {
    let session = Session::new(options).unwrap();
    let workers = session.threads().handle().metrics().num_workers();
    [session.settings().threads, workers, session.state().config().target_partitions()]
}

#[test]
fn a_session_has_a_thread_for_each_core_unless_told_otherwise() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(threads(Options::default()), [cores; 3]);
    let other = cores + 1;
    assert_eq!(threads(Options { threads: Some(other), ..Options::default() }), [other; 3]);
}
