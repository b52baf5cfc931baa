use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    sync::Arc,
};

use super::*;
use crate::dns::World;

fn source(id: &str, world: &World) -> Arc<Source> {
    Arc::new(Source {
        id: id.to_owned(),
        program: "make".into(),
        pid: 7,
        started_ns: 0,
        state: world.sandbox.clone(),
        dns: world.service.clone(),
    })
}

async fn asked(place: &Path) -> Result<Vec<Report>, AskError> {
    let place = place.to_owned();
    tokio::task::spawn_blocking(move || ask_all(&place)).await.unwrap()
}

#[tokio::test]
async fn every_sandbox_tells_its_pins_and_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("made/status");
    assert_eq!(asked(&place).await.unwrap(), []);
    let world = World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9"]);
    world.look_up("example.org.").await;
    world.look_up("evil.example.").await;
    let first = StatusServer::open(&place, |_| true, source("run-1", &world)).unwrap();
    let second = StatusServer::open(&place, |_| true, source("run-2", &World::new(&[]))).unwrap();
    let reports = asked(&place).await.unwrap();
    let [one, other] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((one.id.as_str(), other.id.as_str()), ("run-1", "run-2"));
    assert_eq!((one.program.as_str(), one.pid), ("make", 7));
    let [pin] = one.pins.as_slice() else { panic!("{one:?}") };
    assert_eq!((pin.name.as_str(), pin.address), ("example.org", [9, 9, 9, 9].into()));
    assert_eq!((pin.connections, pin.age_seconds), (0, 0));
    assert!(pin.left_seconds.is_some_and(|left| (290..=300).contains(&left)), "{pin:?}");
    assert_eq!((one.dns.answered, one.dns.refused.get("not_allowed")), (1, Some(&1)));
    let [refusal] = one.refused.as_slice() else { panic!("{one:?}") };
    assert_eq!((refusal.what.as_str(), refusal.count), ("evil.example", 1));
    assert_eq!((&other.pins, &other.refused), (&vec![], &vec![]));
    drop(first);
    assert_eq!(asked(&place).await.unwrap().len(), 1);
    drop(second);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}

#[tokio::test]
async fn only_the_owner_may_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("status");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // Whatever it was before.
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let _door = StatusServer::open(&place, |_| true, source("run-1", &World::new(&[]))).unwrap();
    assert_eq!((mode(&place), mode(&place.join("run-1.sock"))), (0o700, 0o600));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    assert!(StatusServer::open(&link, |_| true, source("run-2", &World::new(&[]))).is_err());
}

#[tokio::test]
async fn the_dead_are_left_out_and_swept() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    drop(UnixListener::bind(place.join("run-dead.sock")).unwrap());
    fs::write(place.join("README"), "").unwrap();
    assert_eq!(asked(place).await.unwrap(), []);
    let _door = StatusServer::open(place, |id| id != "run-dead", source("run-1", &World::new(&[])))
        .unwrap();
    assert!(!place.join("run-dead.sock").exists());
    assert!(place.join("README").exists());
    assert_eq!(asked(place).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_report_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("run-odd.sock")).unwrap();
    let odd = std::thread::spawn(move || {
        use std::io::Write;
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
    });
    let error = asked(folder.path()).await.unwrap_err();
    assert!(matches!(error, AskError::Sandbox { .. }), "{error}");
    odd.join().unwrap();
}
