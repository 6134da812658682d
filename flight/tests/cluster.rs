//! Nodes that speak over loopback: objects cross, tokens are asked for, and a node that comes back late starts anew.
//! Their workers are left out; the whole is tested from Python.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sheaf_core::client::{Client, Host, Reply};
use sheaf_core::ids::{ObjectId, TaskId};
use sheaf_core::local::{Inquiry, Local, LocalOptions, Role};
use sheaf_core::resources::Resources;
use sheaf_core::Result;
use sheaf_flight::cluster::{Access, Port, ask};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a token for tests only";

struct Nobody;

impl Host for Nobody {
    fn node_is_gone(&self) {}
    fn stop(&self, _: TaskId, _: bool) {}
}

/// A node without CPUs: it forks no workers.
fn node(head: Option<&str>, store_bytes: u64) -> (Local, String) {
    let access = Access::with_token(TOKEN).unwrap();
    let port = Port::bind("127.0.0.1:0", None, access).unwrap();
    let address = port.address().to_string();
    let options = LocalOptions {
        role: if head.is_some() { Role::Member(address.clone()) } else { Role::Head(address.clone()) },
        resources: Resources::default(),
        labels: BTreeMap::new(),
        store_bytes,
        spill_dir: std::env::temp_dir(),
        command: ["sh", "-c", "cat <&{fd}"].map(str::to_string).to_vec(),
        log_dir: None,
    };
    let head = head.map(str::to_string);
    (Local::start_with(options, |inlet| port.open(inlet, head).map(Some)).unwrap(), address)
}

fn nodes(address: &str) -> Result<usize> {
    let text = ask(address, &Access::with_token(TOKEN).unwrap(), Inquiry::Nodes)?;
    Ok(serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap().len())
}

fn becomes_true(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(client: &std::sync::Arc<Client>, object: ObjectId) -> Reply {
    let batch = client.ask(&[object], true, false).unwrap();
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
    let (here, there) =
        (Client::new(head.connect().unwrap(), Nobody).unwrap(), Client::new(member.connect().unwrap(), Nobody).unwrap());
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
