//! Nodes that speak over loopback: objects cross, tokens are asked for, and a node that comes back late starts anew.
//! Their workers are left out; the whole is tested from Python.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot begin fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_flight::Ticket;
use arrow_flight::flight_service_client::FlightServiceClient;
use sheaf_core::client::{Client, Host, Reply};
use sheaf_core::ids::{Attempt, ObjectId};
use sheaf_core::local::{Inquiry, Local, LocalOptions, Role};
use sheaf_core::resources::Resources;
use sheaf_core::wire::{Reason, Wish};
use sheaf_core::{ErrorKind, Result};
use sheaf_flight::cluster::{Access, Port, ask, node_names};
use tokio::runtime::Builder;
use tonic::transport::Endpoint;

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a token for tests only";

struct Nobody;

impl Host for Nobody {
    fn node_is_gone(&self) {}
    fn stop(&self, _: Attempt, _: bool) {}
}

/// A node without CPUs: it forks no workers.
fn node(head: Option<&str>, store_bytes: u64) -> (Local, String) {
    node_with(head, store_bytes, Access::with_token(TOKEN).unwrap())
}

fn node_with(head: Option<&str>, store_bytes: u64, access: Access) -> (Local, String) {
    let port = Port::bind("127.0.0.1:0", None, access).unwrap();
    let address = port.address().to_string();
    let options = LocalOptions {
        role: if head.is_some() { Role::Member(address.clone()) } else { Role::Head(address.clone()) },
        resources: Resources::default(),
        labels: BTreeMap::new(),
        store_bytes,
        spill_dir: std::env::temp_dir(),
        command: ["bash", "-c", "cat <&{fd}"].map(str::to_string).to_vec(),
        state: None,
        query_bytes: 64 << 20,
        executor: None,
        log_dir: None,
    };
    let head = head.map(str::to_string);
    (Local::start_with(options, |inlet| port.open(inlet, head).map(Some)).unwrap(), address)
}

fn nodes(address: &str) -> Result<usize> {
    let text = ask(address, &Access::with_token(TOKEN).unwrap(), &Inquiry::Nodes)?;
    Ok(node_names(&text).count())
}

fn becomes_true(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(client: &std::sync::Arc<Client>, object: ObjectId) -> Reply {
    let batch = client.ask(&[object], Wish::Value, false).unwrap();
    assert!(batch.wait(1, PATIENCE), "nothing came");
    batch.take().pop().flatten().unwrap()
}

fn bytes(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Value(value) => value.bytes().to_vec(),
        other => panic!("no value: {other:?}"),
    }
}

#[test]
fn objects_cross_from_node_to_node() {
    let (head, address) = node(None, 256 << 20);
    let (member, _) = node(Some(&address), 256 << 20);
    becomes_true(|| nodes(&address).unwrap() == 2);
    let [here, there] = [&head, &member].map(|node| Client::new(node.connect().unwrap(), Nobody).unwrap());
    let large: Vec<u8> = (0..50_000_000_u32).map(|n| (n % 251) as u8).collect();
    for value in [b"small".to_vec(), large] {
        let object = here.put(&[&value], Vec::new()).unwrap();
        there.add_ref(object).unwrap();
        assert!(bytes(get(&there, object)).ends_with(&value));
        there.drop_ref(object);
        here.drop_ref(object);
    }
    // What nobody holds any more is in no store.
    let stored = |client: &Client| client.objects().unwrap().len();
    becomes_true(|| stored(&here) + stored(&there) == 0);
}

/// What is sent of an object, for the bytes from a place on of an edition: its size, its edition, the first byte, and
/// the rest.
async fn sent(address: &str, wish: (ObjectId, u64, u64)) -> ((u64, u64, u64), Vec<u8>) {
    let channel = Endpoint::from_shared(address.to_string()).unwrap().connect().await.unwrap();
    let mut flight = FlightServiceClient::new(channel);
    let ticket = Ticket { ticket: postcard::to_stdvec(&(0_u8, wish)).unwrap().into() };
    let mut coming = flight.do_get(ticket).await.unwrap().into_inner();
    let header = coming.message().await.unwrap().unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = coming.message().await.unwrap() {
        bytes.extend_from_slice(&part.data_body);
    }
    (postcard::from_bytes(&header.app_metadata).unwrap(), bytes)
}

#[test]
fn a_transfer_that_broke_off_goes_on_where_it_was() {
    let (head, address) = node_with(None, 64 << 20, Access::default());
    let here = Client::new(head.connect().unwrap(), Nobody).unwrap();
    let value: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let object = here.put(&[&value], Vec::new()).unwrap();
    here.ping().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ((size, edition, first), all) = sent(&address, (object, 0, 0)).await;
        assert!(first == 0 && all.len() as u64 == size && all.ends_with(&value));
        let (header, rest) = sent(&address, (object, 3_000_000, edition)).await;
        assert_eq!((header, &rest[..]), ((size, edition, 3_000_000), &all[3_000_000..]));
        let (header, none) = sent(&address, (object, size, edition)).await;
        assert_eq!((header, none.len()), ((size, edition, size), 0));
        // What there is of another edition, or more than there is, is of no use.
        for wish in [(object, 3_000_000, edition + 1), (object, size + 1, edition)] {
            let (header, again) = sent(&address, wish).await;
            assert_eq!((header, again.len()), ((size, edition, 0), all.len()));
        }
    });
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

fn certified(by: &str) -> Access {
    let [shown, key] = ["pem", "key"].map(|kind| certificate(&format!("{by}.{kind}")));
    Access::default().with_certificates(&shown, &key, &certificate("cluster-ca.pem")).unwrap()
}

#[test]
fn strangers_are_kept_out_by_token_and_by_certificate() {
    let (_head, address) = node(None, 1 << 20);
    let nodes = |access: &Access| ask(&address, access, &Inquiry::Nodes).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(nodes(&Access::with_token(TOKEN).unwrap()), Ok(()));
    assert_eq!(nodes(&Access::default()), Err(ErrorKind::PermissionDenied));
    assert_eq!(nodes(&Access::with_token("another token of tests").unwrap()), Err(ErrorKind::PermissionDenied));
    assert_eq!(nodes(&certified("cluster")), Err(ErrorKind::Io));

    let (_head, address) = node_with(None, 1 << 20, certified("cluster"));
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    let nodes = |access: &Access| ask(&address, access, &Inquiry::Nodes).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(nodes(&certified("cluster")), Ok(()));
    assert_eq!(nodes(&certified("stranger")), Err(ErrorKind::Io));
    assert_eq!(nodes(&Access::default()), Err(ErrorKind::Io));
}

#[test]
fn nodes_speak_behind_certificates() {
    let (head, address) = node_with(None, 64 << 20, certified("cluster"));
    let (member, _) = node_with(Some(&address), 64 << 20, certified("cluster"));
    let (_stranger, _) = node_with(Some(&address), 64 << 20, certified("stranger"));
    let nodes = || ask(&address, &certified("cluster"), &Inquiry::Nodes).unwrap();
    becomes_true(|| node_names(&nodes()).count() == 2);
    let [here, there] = [&head, &member].map(|node| Client::new(node.connect().unwrap(), Nobody).unwrap());
    let value = vec![7; 3_000_000];
    let object = here.put(&[&value], Vec::new()).unwrap();
    there.add_ref(object).unwrap();
    assert!(bytes(get(&there, object)).ends_with(&value));
    assert_eq!(node_names(&nodes()).count(), 2, "the stranger has not come in");
}

#[test]
fn who_is_reached_from_other_machines_keeps_strangers_out() {
    let refused = Port::bind("0.0.0.0:0", None, Access::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.hint().unwrap().contains("--token-file"));
    assert!(Port::bind("0.0.0.0:0", Some("name.example"), Access::with_token(TOKEN).unwrap()).is_ok());
    let port = Port::bind("127.0.0.1:0", None, Access::default()).unwrap();
    let taken = Port::bind(port.address().trim_start_matches("http://"), None, Access::default()).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Io);
}

#[test]
fn what_does_not_fit_into_the_store_is_told() {
    let (head, address) = node(None, 64 << 20);
    let (member, _) = node(Some(&address), 1 << 20);
    becomes_true(|| nodes(&address).unwrap() == 2);
    let [here, there] = [&head, &member].map(|node| Client::new(node.connect().unwrap(), Nobody).unwrap());
    let object = here.put(&[&vec![1; 2 << 20]], Vec::new()).unwrap();
    there.add_ref(object).unwrap();
    match get(&there, object) {
        Reply::Failed(Reason::NoRoom(why)) => assert!(why.contains("larger than the object store"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(get(&here, object), Reply::Value(_)), "it is there for those who have room");
}
