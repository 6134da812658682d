//! What every crate's manifest keeps to: the workspace's lints, versions and metadata.

use crate::tree::{crates, files, manifest, none_of};

/// The one crate that may pin versions of its own: it carries features for crates that it never names in code.
const CARRIES_FEATURES: &str = "sheaf-connectors";

#[test]
fn every_crate_inherits_the_lints() {
    let manifests = crates().into_iter().map(|folder| manifest(&folder));
    none_of(&manifests.filter_map(|manifest| lacks_lints(&manifest)).collect::<Vec<_>>());
}

fn lacks_lints(manifest: &toml::Table) -> Option<String> {
    let name = manifest["package"]["name"].as_str()?;
    let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    (inherits != Some(true)).then(|| format!("{name}: needs [lints] workspace = true"))
}

#[test]
fn every_dependency_is_pinned_once() {
    let manifests = crates().into_iter().map(|folder| manifest(&folder));
    none_of(&manifests.flat_map(|manifest| own_versions(&manifest)).collect::<Vec<_>>());
}

fn own_versions(manifest: &toml::Table) -> Vec<String> {
    let name = manifest["package"]["name"].as_str().unwrap();
    if name == CARRIES_FEATURES {
        return Vec::new();
    }
    let sections =
        ["dependencies", "dev-dependencies", "build-dependencies"].into_iter().filter_map(|key| manifest.get(key));
    let entries = sections.flat_map(|section| section.as_table().unwrap().iter());
    let inherits = |spec: &toml::Value| spec.get("workspace").and_then(toml::Value::as_bool) == Some(true);
    let own = entries.filter(|(_, spec)| !inherits(spec));
    own.map(|(dependency, _)| format!("{name}: {dependency} must come from [workspace.dependencies]")).collect()
}

#[test]
fn carried_features_are_never_named_in_code() {
    let manifest = manifest("connectors");
    let code: String =
        files(".rs").iter().filter(|file| file.path.starts_with("connectors/src/")).map(|file| &*file.text).collect();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let carried =
        dependencies.iter().filter(|(_, spec)| spec.get("workspace").is_none()).map(|(name, _)| name.replace('-', "_"));
    let named = carried.filter(|name| code.contains(&format!("{name}::")));
    none_of(
        &named.map(|name| format!("connectors names {name}: pin it in [workspace.dependencies]")).collect::<Vec<_>>(),
    );
}

#[test]
fn each_violation_is_found() {
    let planted: toml::Table =
        "package.name = \"x\"\n[dependencies]\nserde = \"1\"\nlog.workspace = true".parse().unwrap();
    assert!(lacks_lints(&planted).is_some());
    assert_eq!(own_versions(&planted).len(), 1);
    let right: toml::Table = "package.name = \"x\"\nlints.workspace = true".parse().unwrap();
    assert!(lacks_lints(&right).is_none());
}
