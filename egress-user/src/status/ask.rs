//! The side of whoever looks: asks every sandbox of this machine.

use std::{
    fs,
    io::{self, Read},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{ENDING, report::Report};

/// Longest wait for the next part of a report.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of the largest report: some 20 times what full tables make.
const LARGEST: u64 = 64 << 20;

/// Why a sandbox does not tell.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The directory cannot be read.
    #[error("read {}; run it as root", path.display())]
    Place {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket is there, and what answers is no report.
    #[error("ask {}", path.display())]
    Sandbox {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The reports of the sandboxes whose sockets are in `place`, by their ids. One that ends meanwhile,
/// or has been killed, is left out.
///
/// # Errors
/// [`AskError`], of the first that does not tell.
pub fn ask_all(place: &Path) -> Result<Vec<Report>, AskError> {
    let fail = |source| AskError::Place { path: place.to_owned(), source };
    let entries = match fs::read_dir(place) {
        // No run has been here since the machine started.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut reports = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().to_str().is_some_and(|name| name.ends_with(ENDING)) {
            continue;
        }
        let path = entry.path();
        match ask(&path) {
            Ok(report) => reports.push(report),
            Err(error) if is_gone(&error) => {}
            Err(source) => return Err(AskError::Sandbox { path, source }),
        }
    }
    reports.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(reports)
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | NotFound | UnexpectedEof)
}

fn ask(path: &Path) -> io::Result<Report> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut document = Vec::new();
    stream.take(LARGEST).read_to_end(&mut document)?;
    if document.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&document)?)
}
