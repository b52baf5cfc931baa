//! Processes from the outside: which belong together, what they have used, where they may run.
use std::{collections::BTreeSet, fs, io, path::Path};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Ticks a second in which the kernel tells processor time, on every architecture of ours.
const TICKS: f64 = 100.0;

/// These processes and all below them.
pub(crate) fn tree(roots: &[u32]) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    let mut next = roots.to_vec();
    while let Some(process) = next.pop() {
        if !all.insert(process) {
            continue;
        }
        for thread in threads(process) {
            let children = fs::read_to_string(format!("/proc/{process}/task/{thread}/children"));
            next.extend(
                children.unwrap_or_default().split_whitespace().flat_map(str::parse::<u32>),
            );
        }
    }
    all
}

fn threads(process: u32) -> Vec<u32> {
    let folder = fs::read_dir(format!("/proc/{process}/task"));
    let names = folder.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Seconds of processor time that these have used, for themselves and in the kernel, with their
/// threads that have ended.
pub(crate) fn used_seconds(processes: &BTreeSet<u32>) -> f64 {
    let used = |process: &u32| {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        ticks_of(&text)
    };
    processes.iter().filter_map(used).sum::<f64>() / TICKS
}

/// utime and stime of a line of /proc/PID/stat; the name before them may hold anything.
fn ticks_of(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The fields are numbered from 1 with the state as the third: 14 and 15.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(ticks(14)? + ticks(15)?)
}

/// Resident memory in KiB, pages that several share counted once.
pub(crate) fn resident_kib(processes: &BTreeSet<u32>) -> f64 {
    let resident = |process: &u32| {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        pss_of(&text)
    };
    processes.iter().filter_map(resident).sum()
}

fn pss_of(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Whether it runs this very program.
pub(crate) fn is_this_program(process: u32) -> bool {
    let own = fs::read_link("/proc/self/exe");
    let its = fs::read_link(format!("/proc/{process}/exe"));
    matches!((own, its), (Ok(own), Ok(its)) if own == its)
}

/// Those of them that run the program at this path.
pub(crate) fn running(processes: &BTreeSet<u32>, program: &Path) -> BTreeSet<u32> {
    let program = fs::canonicalize(program).unwrap_or_default();
    let runs = |process: &u32| {
        fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|its| its == program)
    };
    processes.iter().copied().filter(runs).collect()
}

/// The kernel's threads that work off packets on these processors.
pub(crate) fn packet_threads(processors: &[usize]) -> Vec<u32> {
    let names: Vec<_> = processors.iter().map(|number| format!("ksoftirqd/{number}")).collect();
    let folder = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folder.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |process: &u32| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        names.iter().any(|one| one == name.trim())
    };
    processes.filter(is_one).collect()
}

/// The first processors that this program may use, two at most.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn processors() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let all = 0..CpuSet::count();
    Ok(all.filter(|&number| set.is_set(number).unwrap_or(false)).take(2).collect())
}

/// Lets every thread of these processes run on these processors only.
pub(crate) fn pin(processes: &BTreeSet<u32>, processors: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &number in processors {
        set.set(number)?;
    }
    for thread in processes.iter().flat_map(|&process| threads(process)) {
        let Ok(id) = i32::try_from(thread) else { continue };
        // A thread may have ended since it was listed.
        let _ = sched_setaffinity(Pid::from_raw(id), &set);
    }
    Ok(())
}

/// As taskset(1) wants them.
pub(crate) fn list(processors: &[usize]) -> String {
    processors.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let line = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 5 1 1";
        assert_eq!(ticks_of(line), Some(42.0));
        assert_eq!(ticks_of("nonsense"), None);
    }

    #[test]
    fn shared_pages_count_once() {
        let rollup = "1-2 ---p 0 00:00 0 [rollup]\nRss:   900 kB\nPss:   300 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(pss_of(rollup), Some(300.0));
    }

    #[test]
    fn a_child_belongs_to_the_tree_and_stays_where_it_is_pinned() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        assert!(tree(&[own]).contains(&child.id()));
        let last = *processors().unwrap().last().unwrap();
        pin(&BTreeSet::from([child.id()]), &[last]).unwrap();
        let set = sched_getaffinity(Pid::from_raw(child.id() as i32)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let allowed: Vec<_> = (0..CpuSet::count()).filter(|&n| set.is_set(n).unwrap()).collect();
        assert_eq!(allowed, [last]);
    }
}
