// SPDX-License-Identifier: Apache-2.0
//! Compiles the eBPF programs with clang, for the machine's byte order; the loader relocates them to the running kernel.

#![allow(clippy::print_stderr, reason = "that is how a build script speaks")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    compile(Path::new("bpf/fastpath.bpf.c"), &out.join("fastpath.bpf.o"));
    compile(Path::new("bpf/pass.bpf.c"), &out.join("pass.bpf.o"));
}

fn compile(source: &Path, object: &Path) {
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let endian = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb",
        _ => "bpfel",
    };
    // Where Debian has asm/types.h.
    let include = format!("-I/usr/include/{arch}-linux-gnu");
    let mut command = Command::new(&clang);
    command
        .args(["-O2", "-g", "-Wall", "-Werror", "-mcpu=v3", "-target", endian])
        .arg(include)
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object);
    let status = command.status();
    if !matches!(&status, Ok(status) if status.success()) {
        let clang = clang.display();
        eprintln!(
            "{clang} did not compile {}: {status:?}\n\
             The fast path needs clang 14 or newer and libbpf's headers; ./x setup installs them \
             (apt-get install clang libbpf-dev)",
            source.display()
        );
        exit(1);
    }
}
