use super::*;
use crate::{sys::handed::NotData, text::Printable};

fn connection() -> Connected {
    Connected {
        source: "127.0.0.1:40000".parse().unwrap(),
        destination: "[2001:db8::1]:443".parse().unwrap(),
        cookie: u64::MAX,
    }
}

const WHICH: Which = Which { cookie: u64::MAX, tgid: 7 };

fn asks() -> Vec<What> {
    vec![
        What::Probe,
        What::Start,
        What::End(7),
        What::EndConnection(connection()),
        What::Settle,
        What::MayWrite,
        What::Drained,
        What::Finished { has_refused: true },
        What::Failed,
        What::Look { which: WHICH, known: 1, most: 2, patience: None },
        What::Look {
            which: WHICH,
            known: 1,
            most: 2,
            patience: Some(Patience { from: 4000, to: 35_000 }),
        },
        What::Push { which: WHICH, ours: [1, 2] },
        What::PushOn(WHICH),
        What::Forget(9),
    ]
}

#[test]
fn what_is_asked_arrives() {
    for what in asks() {
        let ask = Ask { sandbox: 4711, what };
        assert_eq!(decode::<Ask>(&encode(&ask)), Some(ask));
    }
}

#[test]
fn what_is_told_arrives() {
    let given = Given {
        sandbox: 1,
        name: "run-1-2".to_owned(),
        judges_hellos: true,
        maps: 13,
        tcp4: 8,
        tcp6: 32,
        raw: 2,
        ..Given::default()
    };
    assert_eq!(given.descriptors(), 13 + 10 + 34 + 2 + 1);
    let note = Note::File { number: 3, why: NotData::SharedMemory };
    for tell in [
        Tell::Given(given),
        Tell::Note(note),
        Tell::Note(Note::Hidden(vec![Printable::from("A")])),
        Tell::Probed,
        Tell::Started,
        Tell::Settled(false),
        Tell::MayWrite(true),
        Tell::Drain { is_interrupted: true },
        Tell::GiveUp,
        Tell::Ended { is_empty: true },
        Tell::Gone,
        Tell::Seen(None),
        Tell::Seen(Some(Seen { unsent: 7, is_patient: true })),
        Tell::Unsent(None),
        Tell::Unsent(Some(u32::MAX)),
    ] {
        assert_eq!(decode::<Tell>(&encode(&tell)), Some(tell));
    }
}

#[test]
fn a_text_that_is_too_long_loses_its_end() {
    let text = "ß".repeat(SIZE);
    let given = Given { name: text.clone(), status_error: text.clone(), ..Given::default() };
    let arrived = decode::<Tell>(&encode(&Tell::Given(given)));
    let Some(Tell::Given(Given { name, status_error, .. })) = arrived else {
        panic!("{arrived:?}")
    };
    assert!(name.len() > SIZE / 3 && text.starts_with(&name));
    assert!(status_error.len() > SIZE / 3 && text.starts_with(&status_error));
}

#[test]
fn anything_but_a_whole_record_is_none() {
    let good = encode(&Ask { sandbox: 1, what: What::EndConnection(connection()) });
    assert!(decode::<Ask>(&good[..SIZE - 1]).is_none());
    assert!(decode::<Ask>(&[&good[..], &[0]].concat()).is_none());
    assert!(decode::<Ask>(&[]).is_none());
    // A byte behind its end, wherever it stands.
    for at in [55, 100, SIZE - 1] {
        let mut bad = good;
        bad[at] = 1;
        assert!(decode::<Ask>(&bad).is_none(), "{at}");
    }
    for kind in [0, 14, 255] {
        let mut bad = encode(&Ask { sandbox: 1, what: What::Probe });
        bad[8] = kind;
        assert!(decode::<Ask>(&bad).is_none(), "{kind}");
    }
    let mut bad = encode(&Ask { sandbox: 1, what: What::Finished { has_refused: true } });
    bad[9] = 2;
    assert!(decode::<Ask>(&bad).is_none());
}
