//! The program `egress-broker`: the only one of this package that prints.

use std::{error::Error, ffi::OsString, io::Write, process::ExitCode};

use nix::sys::prctl;

use crate::{
    launch::{self, exit},
    order::Order,
    session,
    sys::descriptors::adopt,
    text::{Printable, with_causes},
};

/// Is the init of a sandbox, or the broker of one, as its arguments say.
pub fn main() -> ExitCode {
    // Before anything else: whatever goes before it is done twice at every start of a sandbox.
    match launch::entry::init(std::env::args_os()) {
        Some(Ok(code)) => return ExitCode::from(code),
        Some(Err(error)) => return refused(&error),
        None => {}
    }
    let _ = prctl::set_name(c"egress-broker");
    // Nothing of it is for others to read, its descriptors least of all.
    let _ = prctl::set_dumpable(false);
    let mut arguments = std::env::args_os().skip(1);
    let mut adopted = || arguments.next().and_then(number).and_then(adopt);
    let (Some(link), Some(order)) = (adopted(), adopted()) else {
        complain("`egress run` starts this program for itself; to run a command use `egress run`");
        return ExitCode::from(2);
    };
    let order = match Order::read(order) {
        Ok(order) => order,
        Err(error) => {
            complain(&format!(
                "egress and egress-broker do not belong together ({error}); install both of one version"
            ));
            return ExitCode::from(exit::NOT_STARTED);
        }
    };
    match session::run(order, link) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if error.is_untold() {
                complain(&with_causes(&error));
            }
            ExitCode::from(error.code())
        }
    }
}

fn number(word: OsString) -> Option<i32> {
    word.to_str()?.parse().ok()
}

fn refused(error: &dyn Error) -> ExitCode {
    complain(&with_causes(error));
    ExitCode::from(2)
}

/// One line on stderr, whatever is in the text.
fn complain(text: &str) {
    // Where even stderr is closed, the exit status says it.
    let _ = writeln!(std::io::stderr(), "egress: {}", Printable::from(text));
}
