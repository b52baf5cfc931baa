//! The far side's server.
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{ANSWER, ASKED, CHUNK, HELLO, NONE, OPAQUE, PING, TARGET, WANT, Want};

/// More than any load opens at once, but for idle ones, which need none.
const THREADS: usize = 48;
/// After so long without a word a connection is given up, so that none is held for ever.
const SILENCE: Duration = Duration::from_secs(60);

type Idle = Arc<Mutex<Vec<TcpStream>>>;

/// Answers until standard input ends. Threads are there before connections are, so that none waits for its making.
pub(crate) fn serve() -> io::Result<()> {
    let listener = Arc::new(TcpListener::bind(TARGET)?);
    let idle = Idle::default();
    for _ in 0..THREADS {
        let (listener, idle) = (Arc::clone(&listener), Arc::clone(&idle));
        let work = move || {
            let mut chunk = vec![0; CHUNK];
            for stream in listener.incoming().flatten() {
                // A connection that breaks is the client's to tell of.
                let _ = converse(stream, &mut chunk, &idle);
            }
        };
        thread::Builder::new().stack_size(64 << 10).spawn(work)?;
    }
    let opaque = TcpListener::bind(OPAQUE)?;
    let work = move || {
        for mut stream in opaque.incoming().flatten() {
            let _ = refuse_tls(&mut stream);
        }
    };
    thread::Builder::new().stack_size(64 << 10).spawn(work)?;
    ready_until_the_end()
}

/// One after the other, as its clients come.
fn refuse_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.read_exact(&mut [0; ASKED.len()])?;
    stream.write_all(&NONE)
}

/// Says that it is ready, and comes back when whoever started this closes standard input.
pub(crate) fn ready_until_the_end() -> io::Result<()> {
    println!("ready");
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}

fn converse(mut stream: TcpStream, chunk: &mut [u8], idle: &Idle) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut hello = [0; 2048];
    let hello = hello.get_mut(..HELLO.len()).ok_or(io::ErrorKind::InvalidData)?;
    stream.read_exact(hello)?;
    stream.write_all(&ANSWER)?;
    let said = hello.get(WANT).copied();
    let Some(want) = Want::ALL.into_iter().find(|want| Some(*want as u8) == said) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    match want {
        Want::Answer => Ok(()),
        Want::Ping => loop {
            let mut bytes = [0; PING];
            stream.read_exact(&mut bytes)?;
            stream.write_all(&bytes)?;
        },
        Want::Down => loop {
            stream.write_all(chunk)?;
        },
        Want::Up => loop {
            stream.read_exact(chunk)?;
            if chunk.first() == Some(&0) {
                return stream.write_all(&[2]);
            }
        },
        Want::Idle => {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            Ok(())
        }
        Want::Forget => {
            idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Ok(())
        }
    }
}
