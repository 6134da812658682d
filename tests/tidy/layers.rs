//! Imports point one way: between the crates as the picture in ARCHITECTURE.md says, and between the modules of a
//! crate.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::tree::{SourceFile, crates, files, in_crate, manifest, none_of};

/// The crates from the ground up; a crate imports only from lower rows.
const LAYERS: [&[&str]; 6] = [
    &["sheaf-core"],
    &["sheaf-connectors", "sheaf-flight"],
    &["sheaf-dataset"],
    &["sheaf-sql"],
    &["sheaf"],
    &["sheaf-python"],
];

/// Modules of a crate that may name each other, each with its reason; all others import one way.
const CIRCLES: [(&str, &[&str]); 2] = [
    // The three handles that a user holds: a session makes datasets, a dataset starts runs, and all keep the session.
    ("dataset/src/", &["dataset", "run", "session"]),
    // Methods of expressions call functions by name, and functions take and give expressions.
    ("python-bindings/src/", &["expr", "functions"]),
];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&name))
}

#[test]
fn crates_import_only_what_stands_below() {
    let manifests: Vec<toml::Table> = crates().iter().map(|folder| manifest(folder)).collect();
    none_of(&manifests.iter().flat_map(upward_dependencies).collect::<Vec<_>>());
}

fn upward_dependencies(manifest: &toml::Table) -> Vec<String> {
    let name = manifest["package"]["name"].as_str().unwrap();
    let Some(own) = layer(name) else { return vec![format!("{name} has no place in the layers")] };
    let sections =
        ["dependencies", "dev-dependencies", "build-dependencies"].into_iter().filter_map(|key| manifest.get(key));
    let names = sections.flat_map(|section| section.as_table().unwrap().keys());
    let upward = names.filter(|other| layer(other).is_some_and(|other| other >= own));
    upward.map(|other| format!("{name} must not depend on {other}: it does not stand below")).collect()
}

#[test]
fn modules_import_only_what_stands_below() {
    let sources = files(".rs");
    let mut violations = Vec::new();
    for folder in crates() {
        let src = in_crate(&folder, "src/");
        let own: Vec<&SourceFile> =
            sources.iter().filter(|file| file.path.starts_with(&src) && file.is_product()).collect();
        let allowed: Vec<&[&str]> =
            CIRCLES.iter().filter(|(crate_, _)| *crate_ == src).map(|(_, circle)| *circle).collect();
        let graph = imports(&own, &src);
        for circle in circles(&graph).into_iter().filter(|circle| !allowed.contains(&circle.as_slice())) {
            violations.push(format!("{src}: these modules import each other: {}", circle.join(", ")));
        }
    }
    none_of(&violations);
}

/// For each top-level module of a crate, those that it names by `crate::…`.
fn imports(own: &[&SourceFile], src: &str) -> BTreeMap<String, BTreeSet<String>> {
    let module = |file: &SourceFile| {
        let inside = file.path.strip_prefix(src)?;
        let first = inside.split('/').next()?.trim_end_matches(".rs");
        (!["lib", "main"].contains(&first)).then(|| first.to_string())
    };
    let names: BTreeSet<String> = own.iter().filter_map(|file| module(file)).collect();
    let mut root = Paths::default();
    if let Some(lib) = own.iter().find(|file| file.path == format!("{src}lib.rs")) {
        root.read(lib);
    }
    // What the crate's root re-exports belongs to the module that it comes from.
    let reexported: BTreeMap<&str, &str> =
        root.uses.iter().map(|(first, last)| (last.as_str(), first.as_str())).collect();

    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in own {
        let Some(from) = module(file) else { continue };
        let mut paths = Paths::default();
        paths.read(file);
        let resolve =
            |name: &String| names.get(name).cloned().or_else(|| reexported.get(name.as_str()).map(ToString::to_string));
        let targets = paths.crate_paths.iter().filter_map(resolve).filter(|to| *to != from && names.contains(to));
        graph.entry(from.clone()).or_default().extend(targets);
    }
    graph
}

/// The paths that a file names, without its tests.
#[derive(Default)]
struct Paths {
    /// First segments after `crate::`.
    crate_paths: BTreeSet<String>,
    /// First and last segment of each `use`.
    uses: Vec<(String, String)>,
}

impl Paths {
    fn read(&mut self, file: &SourceFile) {
        self.visit_file(&syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path)));
    }

    fn note(&mut self, segments: &[String]) {
        let segments: Vec<&String> = segments.iter().filter(|segment| *segment != "self").collect();
        match segments.as_slice() {
            [root, first, ..] if *root == "crate" => {
                self.crate_paths.insert((*first).clone());
            }
            [first, .., last] => self.uses.push(((*first).clone(), (*last).clone())),
            _ => {}
        }
    }

    fn note_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| before.iter().cloned().chain([ident.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.note(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(tree, before)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl Visit<'_> for Paths {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.note_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.first().is_some_and(|first| first == "crate") {
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }
}

/// The sets of modules that all reach each other, larger than one.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|start| (start.as_str(), reach(graph, start))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let circle =
        |of: &str| reached.keys().copied().filter(|other| reaches(of, other) && reaches(other, of)).collect::<Vec<_>>();
    let all: BTreeSet<Vec<&str>> =
        reached.keys().map(|module| circle(module)).filter(|circle| circle.len() > 1).collect();
    all.into_iter().collect()
}

/// The modules that `start` imports, and those that they import, and so on.
fn reach<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(start).into_iter().flatten().map(String::as_str).collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(graph.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

#[test]
fn an_upward_dependency_is_found() {
    let planted = |text: &str| upward_dependencies(&text.parse().unwrap());
    assert_eq!(planted("package.name = \"sheaf-core\"\n[dependencies]\nsheaf-dataset.workspace = true").len(), 1);
    assert_eq!(
        planted("package.name = \"sheaf-flight\"\n[dev-dependencies]\nsheaf-connectors.workspace = true").len(),
        1
    );
    assert!(
        planted("package.name = \"sheaf-sql\"\n[dependencies]\nsheaf-core.workspace = true\nserde = \"1\"").is_empty()
    );
    assert_eq!(planted("package.name = \"sheaf-new\"").len(), 1);
}

#[test]
fn a_circle_of_modules_is_found() {
    let lib = SourceFile::planted("x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub use self::b::B;\n");
    let a = SourceFile::planted(
        "x/src/a/inner.rs",
        "use crate::{b::B, c};\n#[cfg(test)]\nmod tests { use crate::d::D; }\n",
    );
    let c = SourceFile::planted("x/src/c.rs", "fn c() -> u8 { crate::b::count() }\n");
    let graph = |b: &str| imports(&[&lib, &a, &SourceFile::planted("x/src/b.rs", b), &c], "x/src/");
    assert_eq!(graph("use std::fmt;\n")["a"], ["b", "c"].map(String::from).into());
    assert_eq!(graph("use std::fmt;\n")["c"], ["b"].map(String::from).into());
    assert!(circles(&graph("use std::fmt;\n")).is_empty());
    assert_eq!(circles(&graph("fn b(a: crate::a::A) {}\n")), [["a", "b", "c"]], "c stands between them");
    assert_eq!(circles(&graph("use crate::A;\n")), [["a", "b", "c"]], "through the root's re-export");
}
