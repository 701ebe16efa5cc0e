//! The `cw2` binary: hands its arguments to the library, and its exit code to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cw2::internals::main(std::env::args_os()))
}
