//! Programs run inside the client's namespaces, filtered or not, each with a deadline.
use std::ffi::{CString, OsString};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::advice;
use super::outcome::Finished;
use super::processes::{eventually, tasks_of};
use super::tools::slowness;
use super::world::World;

/// A program that takes longer is killed, and its test fails; so many times longer where all is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program about to be started in the client's namespaces.
#[must_use]
pub(crate) struct Client<'w> {
    world: &'w World,
    /// `egress run ... --`, or nothing.
    prefix: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    keeps_stdin_open: bool,
    mounts: Vec<(CString, CString)>,
    passed: Vec<(OwnedFd, RawFd)>,
    patience: Duration,
}

impl<'w> Client<'w> {
    pub(crate) fn new(world: &'w World, prefix: Vec<OsString>) -> Self {
        let resolv = world.path("resolv.conf");
        let target =
            std::fs::canonicalize("/etc/resolv.conf").expect("find what /etc/resolv.conf is");
        let files = [("SSL_CERT_FILE", "ca.pem"), ("CURL_CA_BUNDLE", "ca.pem")];
        let mut env = files.map(|(key, file)| (key.into(), world.path(file).into())).to_vec();
        env.push(("PROBE_DEADLINE".into(), (10 * slowness()).to_string().into()));
        Client {
            world,
            prefix,
            env,
            stdin: Vec::new(),
            keeps_stdin_open: false,
            mounts: vec![(c_path(&resolv), c_path(&target))],
            passed: Vec::new(),
            patience: PATIENCE * slowness(),
        }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Gives the program these bytes to read, then the end of the file.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Gives it more time than the usual 30 seconds.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Leaves standard input open with nothing to read, as at a terminal where nobody types.
    pub(crate) fn idle_stdin(mut self) -> Self {
        self.keeps_stdin_open = true;
        self
    }

    /// Bind-mounts `source` over `target`, for this program and its children only.
    pub(crate) fn mount(mut self, source: &Path, target: &str) -> Self {
        self.mounts.push((c_path(source), c_path(Path::new(target))));
        self
    }

    /// Has a shell run this line first, in the same namespaces: it mounts, or goes to a directory.
    pub(crate) fn after(mut self, line: &str) -> Self {
        let shell = ["sh", "-c", &format!("{line} && exec \"$@\""), "sh"].map(OsString::from);
        self.prefix.splice(0..0, shell);
        self
    }

    /// Without the mount that makes the world's server the system's: a test has mounts of its own.
    pub(crate) fn unmounted(mut self) -> Self {
        self.mounts.clear();
        self
    }

    /// Lets the program inherit a descriptor under this number.
    pub(crate) fn pass(mut self, descriptor: impl AsFd, number: RawFd) -> Self {
        // Above every number that is asked for: dup2 onto itself, or onto the next one to be passed,
        // would leave a descriptor that is closed at exec, or another's.
        let high = FcntlArg::F_DUPFD_CLOEXEC(200);
        let copy = fcntl(descriptor, high).expect("copy a descriptor");
        // SAFETY: a descriptor that the kernel has just made for us.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        self.passed.push((copy, number));
        self
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run<S: Into<OsString>>(
        self,
        command: impl IntoIterator<Item = S>,
    ) -> Finished<'w> {
        self.start(command).finish()
    }

    /// Runs a line of shell.
    #[track_caller]
    pub(crate) fn shell(self, line: &str) -> Finished<'w> {
        self.run(["sh", "-c", line])
    }

    /// Starts a command and leaves it running.
    #[track_caller]
    pub(crate) fn start<S: Into<OsString>>(
        self,
        command: impl IntoIterator<Item = S>,
    ) -> Running<'w> {
        let words: Vec<OsString> =
            self.prefix.into_iter().chain(command.into_iter().map(Into::into)).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.world.path(".")).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for key in FOREIGN_ENVIRONMENT {
            command.env_remove(key).env_remove(key.to_lowercase());
        }
        command.env("LC_ALL", "C").env("HOME", self.world.path(".")).envs(self.env);
        let netns = self.world.client_netns().as_fd().as_raw_fd();
        let (mounts, passed) = (self.mounts, self.passed);
        // SAFETY: between fork and exec only system calls run, on values made before the fork; nothing allocates. The
        // namespace's descriptor outlives the spawn, as the world does; the passed ones are owned by the closure.
        unsafe {
            command.pre_exec(move || {
                setns(BorrowedFd::borrow_raw(netns), CloneFlags::CLONE_NEWNET)?;
                unshare(CloneFlags::CLONE_NEWNS)?;
                let nothing = None::<&str>;
                mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
                for (source, target) in &mounts {
                    mount(
                        Some(source.as_c_str()),
                        target.as_c_str(),
                        nothing,
                        MsFlags::MS_BIND,
                        nothing,
                    )?;
                }
                for (descriptor, number) in &passed {
                    Errno::result(libc::dup2(descriptor.as_raw_fd(), *number))?;
                }
                Ok(())
            });
        }
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {words:?}: {error}"));
        let mut stdin = child.stdin.take().expect("the child's stdin");
        let bytes = self.stdin;
        let held_stdin = if self.keeps_stdin_open {
            Some(stdin)
        } else {
            // A program need not read what it is given.
            std::thread::spawn(move || stdin.write_all(&bytes).ok());
            None
        };
        let stdout = Collected::of(child.stdout.take().expect("the child's stdout"));
        let stderr = Collected::of(child.stderr.take().expect("the child's stderr"));
        let deadline = started + self.patience;
        Running {
            world: self.world,
            words,
            child: Some(child),
            held_stdin,
            stdout,
            stderr,
            started,
            deadline,
        }
    }
}

/// Variables of the test's own surroundings that would change what the client programs do.
const FOREIGN_ENVIRONMENT: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SUDO_UID",
    "SUDO_GID",
    "SUDO_USER",
    "LD_PRELOAD",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "TMUX",
    "MAKEFLAGS",
    "CARGO_MAKEFLAGS",
];

/// A started program; dropping it kills it.
pub(crate) struct Running<'w> {
    world: &'w World,
    words: Vec<OsString>,
    child: Option<Child>,
    held_stdin: Option<std::process::ChildStdin>,
    stdout: Arc<Collected>,
    stderr: Arc<Collected>,
    started: Instant,
    deadline: Instant,
}

impl<'w> Running<'w> {
    /// The process id of the outermost process: `egress`, where the program is filtered.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("the program still runs").id().cast_signed())
    }

    /// Sends a signal to the outermost process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal)
            .unwrap_or_else(|error| panic!("send {signal} to {:?}: {error}", self.words));
    }

    /// Stops the outermost process, and who reads for it, and waits until the last of their threads stands: until then
    /// one that is not the first to hear of the signal goes on.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let reader = self.reader();
        kill(reader, Signal::SIGSTOP).expect("stop who reads");
        eventually("who reads stands", || {
            tasks_of(reader.as_raw()).iter().all(|task| task.field("State").starts_with('T'))
        });
        self.signal(Signal::SIGSTOP);
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.pid()), flags).expect("wait until it stands");
        assert!(matches!(status, WaitStatus::Stopped(..)), "{:?}: {status:?}", self.words);
    }

    /// Gives the program a line to read; its standard input has to be an idle one.
    #[track_caller]
    pub(crate) fn tell(&self, line: &str) {
        let mut stdin = self.held_stdin.as_ref().expect("an idle standard input");
        writeln!(stdin, "{line}").expect("write to the program");
    }

    /// Waits until the program has written `text` to its standard output.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> String {
        let found =
            self.stdout.wait(self.deadline, |bytes| String::from_utf8_lossy(bytes).contains(text));
        let output = self.stdout.text();
        assert!(
            found,
            "{:?} did not say {text:?}\nstdout: {output}\nstderr: {}",
            self.words,
            self.stderr.text()
        );
        output
    }

    /// Waits until nothing holds its standard output open.
    #[track_caller]
    pub(crate) fn says_no_more(&self) {
        assert!(self.stdout.wait_end(self.deadline), "{:?} keeps its output open", self.words);
    }

    /// Waits for the end of the program and of everything that holds its output open.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished<'w> {
        drop(self.held_stdin.take());
        let pid = self.pid();
        let (ended, end) = std::sync::mpsc::channel();
        // WNOWAIT: the process stays a zombie, so that its id is nobody else's until `child.wait` below.
        std::thread::spawn(move || {
            ended
                .send(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).is_ok())
                .ok();
        });
        let in_time =
            end.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) == Ok(true);
        let took = self.started.elapsed();
        if !in_time {
            killpg(pid, Signal::SIGKILL).ok();
        }
        let status =
            self.child.take().expect("a child to wait for").wait().expect("wait for the program");
        let grace = Instant::now() + Duration::from_secs(30) * slowness();
        let closed = self.stdout.wait_end(grace) && self.stderr.wait_end(grace);
        let (words, world) = (std::mem::take(&mut self.words), self.world);
        let finished = Finished {
            world,
            words,
            status,
            stdout: self.stdout.take(),
            stderr: self.stderr.take(),
            took,
        };
        assert!(in_time, "took longer than {:?}\n{finished}", self.deadline - self.started);
        assert!(closed, "ended, but something holds its output open\n{finished}");
        advice::holds(&finished);
        finished
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).ok();
            child.wait().ok();
        }
    }
}

/// What a pipe has given so far, and whether it has ended.
#[derive(Default)]
struct Collected {
    bytes: Mutex<(Vec<u8>, bool)>,
    grown: Condvar,
}

impl Collected {
    fn of(mut pipe: impl Read + Send + 'static) -> Arc<Self> {
        let collected = Arc::new(Collected::default());
        let writer = Arc::clone(&collected);
        std::thread::spawn(move || {
            let mut block = vec![0; 64 << 10];
            loop {
                let read = pipe.read(&mut block).unwrap_or(0);
                let mut bytes = writer.bytes.lock().expect("collect output");
                bytes.0.extend_from_slice(&block[..read]);
                bytes.1 = read == 0;
                writer.grown.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        collected
    }

    /// Waits for a condition on the bytes; false when the pipe ends or the deadline comes without it.
    fn wait(&self, deadline: Instant, condition: impl Fn(&[u8]) -> bool) -> bool {
        self.wait_for(deadline, |bytes, ended| condition(bytes) || ended);
        condition(&self.bytes.lock().expect("read output").0)
    }

    fn wait_end(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |_, ended| ended)
    }

    fn wait_for(&self, deadline: Instant, enough: impl Fn(&[u8], bool) -> bool) -> bool {
        let mut bytes = self.bytes.lock().expect("read output");
        while !enough(&bytes.0, bytes.1) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            bytes = self.grown.wait_timeout(bytes, left).expect("wait for output").0;
        }
        true
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().expect("read output").0)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("read output").0).into_owned()
    }
}

fn c_path(path: &Path) -> CString {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}
