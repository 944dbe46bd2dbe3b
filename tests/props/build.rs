//! Sets `cfg(props)` for this one package: its library is the real crate's own source, compiled again, with the checks as a public module.

fn main() {
    println!("cargo::rustc-cfg=props");
    println!("cargo::rustc-check-cfg=cfg(props)");
    // The sources name them; here they are never on, also not with `--all-features`, so they are no features of this package.
    println!(
        "cargo::rustc-check-cfg=cfg(feature, values(\"tokio-io\", \"tokio-sync\", \"macros\", \"signal\", \"hyper\", \"futures-io\", \"stacks\"))"
    );
    println!("cargo::rerun-if-changed=build.rs");
}
