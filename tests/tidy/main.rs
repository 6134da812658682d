//! Checks of the repository itself: what stands where, what imports what, how large it is, and that every map, list
//! and generated page is true. Reads sources as text and syntax; never links the engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check that cannot read its input fails")]

mod ci;
mod claims;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod cpu;
mod documents;
mod features;
mod layers;
mod licences;
mod make;
mod manifests;
mod map;
mod settings;
mod sizes;
mod sources;
mod stubs;
mod tree;
