//! Instances as pods, and pods as instances: what is written to the API server, and what is read of what it tells.

use serde_json::{Map, Value, json};
use sheaf_core::autoscale::{Instance, NodeType, labels_of};

/// The label of a pod that says which cluster it belongs to.
pub(super) const CLUSTER: &str = "sheaf.dev/cluster";
/// The label of a pod that says which instance it is.
const INSTANCE: &str = "sheaf.dev/instance";
/// The label of a pod that says of which type its node is.
const NODE_TYPE: &str = "sheaf.dev/node-type";
/// The label of a pod that says of which version of Sheaf the head was that started it.
const VERSION: &str = "sheaf.dev/version";
/// Nodes of another version are refused.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The variable with the labels of the node, as JSON: the command of the template passes them on.
const NODE_LABELS: &str = "SHEAF_NODE_LABELS";

/// The pod of an instance: the template, with what makes it this one. `None` if the template is not that of a pod.
pub(super) fn pod_of(template: &Value, cluster: &str, name: &str, node_type: &NodeType) -> Option<Value> {
    let mut pod = template.clone();
    let parts = pod.as_object_mut()?;
    parts.insert("apiVersion".to_string(), "v1".into());
    parts.insert("kind".to_string(), "Pod".into());

    let metadata = object(parts, "metadata")?;
    metadata.insert("name".to_string(), name.into());
    let labels = [(CLUSTER, cluster), (INSTANCE, name), (NODE_TYPE, node_type.name.as_str()), (VERSION, OWN_VERSION)];
    object(metadata, "labels")?.extend(labels.map(|(label, value)| (label.to_string(), Value::from(value))));

    let spec = object(parts, "spec")?;
    // A node that ends is no more: another one comes if there is need of it.
    spec.insert("restartPolicy".to_string(), "Never".into());
    let container = spec.get_mut("containers")?.get_mut(0)?.as_object_mut()?;
    let variables = container.entry("env").or_insert_with(|| json!([])).as_array_mut()?;
    let node_labels: Value = labels_of(name, node_type).into_iter().collect();
    // Kubernetes puts variables where a value has $(NAME), and reads $$ as $.
    variables.push(json!({ "name": NODE_LABELS, "value": node_labels.to_string().replace('$', "$$") }));
    Some(pod)
}

/// The object under a key, an empty one if nothing is there.
fn object<'a>(parts: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    parts.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

/// The instance that a pod is. `None` for one that is going, and for those that have the label of the cluster only:
/// they are of other people's making.
pub(super) fn instance_of(pod: &Value) -> Option<Instance> {
    let metadata = &pod["metadata"];
    let (name, labels) = (metadata["name"].as_str()?, &metadata["labels"]);
    if labels[INSTANCE] != name || !metadata["deletionTimestamp"].is_null() {
        return None;
    }
    let node_type = labels[NODE_TYPE].as_str()?.to_string();
    let version = labels[VERSION].as_str().unwrap_or_default();
    let is_other = || (version != OWN_VERSION).then(|| format!("it is of version {version:?}, not {OWN_VERSION}"));
    let status = &pod["status"];
    let ended = ended(status).or_else(is_other);
    Some(Instance { name: name.to_string(), node_type, ended, waits: waits(status) })
}

/// Why a pod does not run yet, if that is told.
fn waits(status: &Value) -> Option<String> {
    let all = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let containers = all("containerStatuses").into_iter().chain(all("initContainerStatuses"));
    let mut waiting = containers.map(|container| container["state"]["waiting"].clone());
    let waiting = waiting.find(|waiting| waiting["reason"].is_string());
    let unscheduled = || {
        let is_its = |told: &Value| told["type"] == "PodScheduled" && told["status"] == "False";
        all("conditions").into_iter().find(is_its)
    };
    let told = waiting.or_else(unscheduled)?;
    let told = [&told["reason"], &told["message"]].into_iter().filter_map(Value::as_str);
    let told: Vec<&str> = told.map(str::trim).filter(|told| !told.is_empty()).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Why a pod has ended, if it has: all that is told of it, or at least how.
fn ended(status: &Value) -> Option<String> {
    let phase = status["phase"].as_str().filter(|phase| matches!(*phase, "Succeeded" | "Failed"))?;
    let containers =
        ["containerStatuses", "initContainerStatuses"].into_iter().filter_map(|all| status[all].as_array());
    let exits = containers.flatten().map(|container| &container["state"]["terminated"]).filter(|exit| exit.is_object());
    let exits: Vec<&Value> = exits.collect();
    // They stand in the order of their names, and the one that failed says why.
    let exit = exits.iter().find(|exit| exit["exitCode"] != 0).or_else(|| exits.first());
    let of_exit = |key: &str| exit.and_then(|exit| exit[key].as_str());
    let code = exit.and_then(|exit| exit["exitCode"].as_i64()).map(|code| format!("exit code {code}"));

    let of_pod = [status["reason"].as_str(), status["message"].as_str()];
    let told = of_pod.into_iter().chain([of_exit("reason"), code.as_deref(), of_exit("message")]);
    let told: Vec<&str> = told.flatten().map(str::trim).filter(|told| !told.is_empty()).collect();
    Some(if told.is_empty() { phase.to_string() } else { told.join(", ") })
}
