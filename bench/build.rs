// SPDX-License-Identifier: Apache-2.0
//! Compiles the generator's and sink's eBPF programs with clang.

#![allow(clippy::print_stderr, reason = "that is how a build script speaks")]

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("traffic.bpf.o");
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let status = Command::new(&clang)
        .args(["-O2", "-g", "-Wall", "-Werror", "-mcpu=v3", "-target", "bpf"])
        // Where Debian has asm/types.h.
        .arg(format!("-I/usr/include/{arch}-linux-gnu"))
        .args(["-c", "bpf/traffic.bpf.c", "-o"])
        .arg(&out)
        .status();
    if !matches!(&status, Ok(status) if status.success()) {
        let clang = clang.display();
        eprintln!("{clang} did not compile bpf/traffic.bpf.c: {status:?}; ./x setup installs what it needs");
        exit(1);
    }
}
