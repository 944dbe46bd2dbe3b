//! Sets `cfg(props)` for this one package: its library is the real crate's own source, compiled again, with the checks as a public module.

fn main() {
    println!("cargo::rustc-cfg=props");
    println!("cargo::rustc-check-cfg=cfg(props)");
    println!("cargo::rerun-if-changed=build.rs");
}
