//! Sets `cfg(loom)` and `cfg(shuttle)` for this one package: its library is the real crate's own source, compiled again, with shuttle's types in the
//! place of loom's.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rustc-cfg=shuttle");
    println!("cargo::rustc-check-cfg=cfg(loom, shuttle)");
    println!("cargo::rerun-if-changed=build.rs");
}
