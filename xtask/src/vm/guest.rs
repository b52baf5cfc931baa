//! One virtual machine: qemu without KVM, the host's root over virtiofs, and two serial lines, one
//! for the kernel's words and one for the tests'.

use std::{
    env, fs,
    os::{fd::AsRawFd as _, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{image, kernel::Kernel};
use crate::{cargo, debian, debian::Missing, test::runner};

/// The words before the exit code on the guest's last line.
const EXIT: &str = "egress-vm: exit ";
const MEMORY: &str = "3G";
/// More than these gain little without KVM.
const MOST_CPUS: usize = 4;
/// How many times longer a test may wait than on a machine of its own.
const SLOWNESS: u32 = 8;
/// Where the daemon that shares the root lies, on Debian 12 and later.
const SHARERS: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// What a guest is to do.
pub(super) struct Job<'a> {
    /// A command line of words, run in `folder`.
    pub(super) words: &'a [String],
    pub(super) folder: &'a Path,
    /// Time for all, the boot among it.
    pub(super) seconds: u32,
    /// Where the kernel's words go.
    pub(super) console: &'a Path,
}

/// The daemon that shares the root, where it is installed.
pub(super) fn sharer() -> Option<PathBuf> {
    SHARERS.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Boots the kernel, does the job, hands each line of its output to `each`, and gives its exit
/// code; none when the guest ended before the job did.
pub(super) fn run(
    kernel: &Kernel,
    job: &Job<'_>,
    mut each: impl FnMut(&str),
) -> anyhow::Result<Option<u8>> {
    let place = Place::new()?;
    image::write(kernel, &script(kernel, job)?, &place.0)?;
    let socket = place.0.join("root.sock");
    let mut sharer = share_root(&socket, &place.0.join("virtiofsd.log"))?;
    let mut code = None;
    let status = runner::watch(&mut qemu(kernel, job, &place.0, &socket), |line| {
        match line.strip_prefix(EXIT) {
            Some(number) => code = number.trim().parse().ok(),
            None => each(line),
        }
    });
    // It goes when qemu has gone; where qemu never came it has to be told.
    let _ = sharer.kill();
    let _ = sharer.wait();
    let status = status?;
    if status.code() == Some(124) || status.code() == Some(137) {
        println!("(the guest was stopped after {} s)", job.seconds);
        return Ok(None);
    }
    if !status.success() {
        bail!("qemu failed ({status})");
    }
    Ok(code)
}

/// What the guest's second script does: the job, with the host's paths and variables.
fn script(kernel: &Kernel, job: &Job<'_>) -> anyhow::Result<String> {
    let path = env::var("PATH").unwrap_or_default();
    let words: Vec<_> = job.words.iter().map(|word| image::quoted(word)).collect();
    let text = |path: &Path| -> anyhow::Result<String> {
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(image::quoted(text))
    };
    // What must not be hidden: the repository, its kernels, and the program, which cargo may have put elsewhere.
    let mut kept =
        format!("{} {} {} ", cargo::root().display(), kernel.root.display(), job.folder.display());
    kept += job.words.first().map_or("", String::as_str);
    Ok(format!(
        "export PATH={}:/usr/sbin:/sbin:/usr/bin:/bin HOME=/root LANG=C.UTF-8\n\
         export EGRESS_TEST_SLOWNESS={SLOWNESS}\n\
         MODULES={}\nKEPT={}\nwork() {{\n    cd {} && {}\n}}\n",
        image::quoted(&path),
        text(&kernel.root.join("lib/modules"))?,
        image::quoted(&kept),
        text(job.folder)?,
        words.join(" "),
    ))
}

/// Starts the daemon that shares the host's root with whoever connects to `socket` first.
fn share_root(socket: &Path, log: &Path) -> anyhow::Result<Child> {
    let program = sharer().ok_or_else(|| {
        Missing(format!("no virtiofsd; run: {}", debian::install_line(&["virtiofsd"])))
    })?;
    // Made here, so that qemu finds it however late the daemon is.
    let listener =
        UnixListener::bind(socket).with_context(|| format!("make {}", socket.display()))?;
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).context("hand a socket to virtiofsd")?;
    Command::new(&program)
        .arg(format!("--fd={}", listener.as_raw_fd()))
        // What is shared does not change while the tests run.
        .args(["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log).context("make the log of virtiofsd")?)
        .spawn()
        .with_context(|| format!("start {}", program.display()))
}

/// How many processors the guest has.
pub(super) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MOST_CPUS)
}

fn qemu(kernel: &Kernel, job: &Job<'_>, place: &Path, socket: &Path) -> Command {
    let mut command = Command::new("timeout");
    // Outlives this program by no more than that, also when this one is killed; in our process group, so that what
    // ends us at a terminal ends it too.
    command.args([
        "--foreground",
        "--kill-after=10",
        &job.seconds.to_string(),
        "qemu-system-x86_64",
    ]);
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", &cpus().to_string()]);
    command.args(["-nodefaults", "-no-reboot", "-display", "none"]);
    // The daemon reads and writes the guest's memory.
    command.args(["-m", MEMORY, "-machine", "q35,memory-backend=memory", "-object"]);
    command.arg(format!("memory-backend-memfd,id=memory,size={MEMORY},share=on"));
    command.arg("-chardev").arg(format!("socket,id=root,path={}", socket.display()));
    command.args(["-device", "vhost-user-fs-pci,chardev=root,tag=host"]);
    command.arg("-serial").arg(format!("file:{}", job.console.display()));
    command.args(["-serial", "stdio"]);
    command.arg("-kernel").arg(&kernel.image);
    command.arg("-initrd").arg(place.join("initramfs.cpio"));
    // The other clocks are devices, and each look at one leaves the translated code. Namespaces wait for
    // grace periods where they are taken down, which is most of a test's time without the last word.
    // And a timer that a busy host lets tick late looks broken to a kernel that checks it: it panics.
    let clock = "tsc=reliable clocksource=tsc no_timer_check";
    let words = format!("console=ttyS0 quiet panic=-1 {clock} rcupdate.rcu_expedited=1");
    command.args(["-append", &words]);
    command
}

/// A folder of this run alone, which goes with it.
struct Place(PathBuf);

impl Place {
    fn new() -> anyhow::Result<Place> {
        // Short: the path of a socket has little room.
        let folder = nix::unistd::mkdtemp(&env::temp_dir().join("egress-vm-XXXXXX"));
        Ok(Place(folder.context("make a temporary folder")?))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
