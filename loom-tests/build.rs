//! Sets `cfg(loom)` for this one package: its library is the real crate's own source, compiled again.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rerun-if-changed=build.rs");
}
