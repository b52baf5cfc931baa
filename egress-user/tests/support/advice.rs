//! What the end of a run advises, and how a person follows it: the whole line is told to do one thing.
//!
//! Every run of every test hands in what it printed (`Running::finish`): each line of advice has to be of a kind
//! that `kernel/advice.rs` follows to the target, and with it `egress check` has to allow what was refused.
use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::outcome::Finished;
use super::tools::EGRESS;

/// A refusal of a summary, with what it advises.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    /// `allowed.test`, `tls allowed.test at 192.0.2.1:443`.
    pub(crate) what: String,
    pub(crate) reason: String,
    /// The pattern of the rule that decided, where one did.
    pub(crate) rule: Option<String>,
    /// The line below it.
    pub(crate) advice: String,
}

/// The words with which a line begins that has nothing to paste.
pub(crate) const NO_LINE: &str = "no line of a policy";

/// The refusals of the summary in what a run wrote to standard error.
pub(crate) fn told(complaints: &str) -> Vec<Told> {
    let mut lines = complaints.lines().skip_while(|line| *line != "egress: refused:").skip(1);
    let mut all = Vec::new();
    while let Some(line) = lines.next() {
        let Some(line) = line.strip_prefix("  ") else { break };
        let Some((what, reason, rest)) = parts(line) else {
            // `and 12 more`.
            continue;
        };
        let rule = rest.split_once(", by ").map(|(_, rule)| rule);
        let rule = rule.and_then(|rule| rule.split(' ').next()).map(str::to_owned);
        let advice = lines.next().and_then(|line| line.strip_prefix("      "));
        let advice = advice.unwrap_or_else(|| panic!("no advice below {line}")).to_owned();
        all.push(Told { what: what.to_owned(), reason: reason.to_owned(), rule, advice });
    }
    all
}

/// What was refused, the reason, and what stands behind it. A colon and a reason's name are in what others wrote as
/// well: the first that is followed as a reason is counts.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    line.match_indices(": ").find_map(|(at, colon)| {
        let (what, behind) = (&line[..at], &line[at + colon.len()..]);
        let end =
            behind.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(behind.len());
        let (reason, rest) = behind.split_at(end);
        let is_end = rest.is_empty() || rest.starts_with(" (") || rest.starts_with(", by ");
        (is_end && egress_common::Reason::from_name(reason).is_some())
            .then_some((what, reason, rest))
    })
}

/// Reason and shape of every line of advice that a run may print: all of them are followed to the target in
/// `kernel/advice.rs`, but those of which a comment there says why not.
pub(crate) const KINDS: &[(&str, &str)] = &[
    ("denied", "a deny of a file"),
    ("denied", "a deny of a flag"),
    ("device_not_allowed", NO_LINE),
    ("dns_failed", NO_LINE),
    ("ech_refused", "ECH"),
    ("ech_refused", "a rule in place of a flag"),
    ("host_mismatch", "a name"),
    ("host_mismatch", "a rule in place of a flag"),
    ("host_mismatch", "any protocol"),
    ("host_mismatch", "an address"),
    ("inspection_required", "a key"),
    ("inspection_required", "no methods and paths"),
    ("invalid_host", NO_LINE),
    ("method_not_allowed", "a key"),
    ("method_not_allowed", "a method of a rule"),
    ("network_disabled", "a key"),
    ("not_allowed", "a name"),
    ("not_allowed", "an address"),
    ("not_allowed_local", NO_LINE),
    ("not_allowed_local", "an address"),
    ("not_allowed_local", "an address of the machine's own"),
    ("not_allowed_local", "resolves_to beside a preset"),
    ("not_allowed_local", "resolves_to beside a wider rule"),
    ("not_allowed_local", "resolves_to in place of a rule"),
    ("not_pinned", NO_LINE),
    ("path_not_allowed", NO_LINE),
    ("path_not_allowed", "a path of a rule"),
    ("port_not_allowed", "a port of a rule"),
    ("port_not_allowed", "a rule beside a preset"),
    ("port_not_allowed", "a rule in place of a flag"),
    ("protocol_not_allowed", NO_LINE),
    ("protocol_not_allowed", "a key"),
    ("protocol_not_allowed", "a rule in place of a flag"),
    ("protocol_not_allowed", "any protocol"),
    ("protocol_not_allowed", "no methods and paths"),
    ("rate_limited", NO_LINE),
    ("rate_limited", "a key"),
    ("sni_mismatch", "a name"),
    ("sni_mismatch", "an address"),
    ("sni_mismatch", "a port of a rule"),
    ("sni_mismatch", "a rule in place of a flag"),
    ("sni_mismatch", "any protocol"),
];

/// What of a line of advice is the same in every line like it.
const SHAPES: &[(&str, &str, &str)] = &[
    // Shape, its beginning, and what it has besides.
    ("an address of the machine's own", "--allow ", "is an address of this machine"),
    ("an address", "--allow ", "or in [network.addresses]: "),
    ("a name", "--allow ", "or in [network.domains]: "),
    ("a key", "--set network.", ", or "),
    ("a deny of a flag", "remove the deny of ", "(--deny)"),
    ("a deny of a file", "remove the deny of ", ": no allow rule overrides it"),
    ("resolves_to in place of a rule", "instead of ", " resolves to "),
    ("resolves_to beside a preset", "beside ", " resolves to "),
    ("resolves_to beside a wider rule", "in [network.domains]: ", " resolves to "),
    ("a rule in place of a flag", "instead of ", "--set '"),
    ("a rule beside a preset", "beside ", "--set '"),
    ("a port of a rule", "add ", " to the ports of "),
    ("a method of a rule", "add \"", "\" to the methods of "),
    ("a path of a rule", "add a prefix of the path to the paths of ", "--set '"),
    ("no methods and paths", "remove methods and paths from ", "--set '"),
    ("any protocol", "add protocol = \"any\" to ", "--set '"),
    ("ECH", "add ech = \"allow\" to ", "--set '"),
];

impl Told {
    /// Whether it says that nothing is to be pasted.
    pub(crate) fn has_no_line(&self) -> bool {
        self.advice.starts_with(NO_LINE)
    }

    /// Its reason, and what its advice has in common with that of others.
    pub(crate) fn kind(&self) -> (String, String) {
        let shape = match self.advice.strip_prefix("to allow: ") {
            None if self.has_no_line() => NO_LINE,
            None => panic!("neither a line nor that there is none: {self:?}"),
            Some(advice) => {
                let is_of = |(_, begins, has): &&(_, &str, &str)| {
                    advice.starts_with(*begins) && advice.contains(*has)
                };
                let found = SHAPES.iter().find(is_of);
                found.unwrap_or_else(|| panic!("a line of no kind that is known: {self:?}")).0
            }
        };
        (self.reason.clone(), shape.to_owned())
    }

    /// Does what it says to these options of `egress run`: pastes its flag, or takes the line away that it names.
    pub(crate) fn follow(&self, options: &mut Vec<String>) {
        let advice = self.advice.strip_prefix("to allow: ").expect("something to paste");
        if let Some(rest) = advice.strip_prefix("remove the deny of ") {
            return without_deny(rest, options);
        }
        let quoted = || advice.split_once("--set '").map(|(_, rest)| ("--set", ended(rest, "'")));
        let flag = || {
            let (flag, rest) = advice.split_once(' ')?;
            let is_flag = ["--allow", "--set"].contains(&flag);
            is_flag.then(|| (flag, ended(rest, ", or ")))
        };
        let (flag, value) =
            flag().or_else(quoted).unwrap_or_else(|| panic!("nothing to paste: {advice}"));
        options.extend([flag.to_owned(), value.to_owned()]);
    }
}

fn ended<'a>(text: &'a str, by: &str) -> &'a str {
    text.split_once(by).expect("its end").0
}

/// Takes the option away, or the line out of the file: `PATTERN (--deny)`, `PATTERN (FILE:LINE)`.
fn without_deny(rest: &str, options: &mut Vec<String>) {
    let (pattern, place) = rest.split_once(" (").expect("the place of the deny");
    let place = ended(place, ")");
    if place == "--deny" {
        let is_it = |words: &[String]| words[0] == "--deny" && words[1] == pattern;
        let at = options.windows(2).position(is_it).expect("the flag");
        options.drain(at..at + 2);
        return;
    }
    let (file, line) = place.rsplit_once(':').expect("file and line");
    let line: usize = line.parse().expect("a line");
    let text = std::fs::read_to_string(file).expect("read the policy");
    let kept = text.lines().enumerate().filter(|(at, _)| at + 1 != line);
    let text: String = kept.map(|(_, line)| format!("{line}\n")).collect();
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let edited = format!("{}-{number}.toml", file.trim_end_matches(".toml"));
    std::fs::write(&edited, text).expect("write the policy");
    let used = options.iter_mut().find(|option| *option == file).expect("the file");
    *used = edited;
}

/// Options that say what the policy is, of a run's words.
fn options(words: &[OsString]) -> Option<Vec<String>> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let begin = words.windows(2).position(|two| two[0] == EGRESS && two[1] == "run")?;
    let own = words[begin + 2..].split(|word| word == "--").next()?;
    let known = ["--policy", "--allow", "--deny", "--set", "--profile"];
    let mut options = Vec::new();
    let mut own = own.iter();
    while let Some(word) = own.next() {
        if known.contains(&word.as_str()) {
            options.extend([word.clone(), own.next()?.clone()]);
        }
    }
    Some(options)
}

/// What `egress check` is asked, so that it is what was refused: arguments, the target last. None where a target is
/// no way to say it.
fn question(told: &Told) -> Option<Vec<String>> {
    let what = told.what.split(" (").next()?;
    // Of an address nothing is looked up.
    let resolve =
        |name: &str, address: &str| match name.trim_matches(['[', ']']).parse::<std::net::IpAddr>()
        {
            Ok(_) => "--resolve=*=SERVFAIL".to_owned(),
            Err(_) => format!("--resolve={name}={address}"),
        };
    let inside = inside(&told.advice);
    if let Some((what, to)) = what.split_once(" at ") {
        let (address, port) = to.rsplit_once(':')?;
        let address = address.trim_matches(['[', ']']);
        let (kind, host) = what.split_once(' ')?;
        let (method, host) = match host.split_once(' ') {
            Some((method, host)) => (Some(format!("--method={method}")), host),
            None => (None, host),
        };
        let (host, path) = host.split_once('/').unwrap_or((host, ""));
        // A request may say the port again.
        let host = host.strip_suffix(&format!(":{port}")).unwrap_or(host);
        let scheme = match kind {
            "tls" => "https",
            "http" => "http",
            _ => return None,
        };
        let target = format!("{scheme}://{host}:{port}/{path}");
        return Some(
            [Some(resolve(host, address)), method, Some(target)].into_iter().flatten().collect(),
        );
    }
    if let Some((_, to)) = what.split_once("tcp ") {
        let (address, port) = to.rsplit_once(':')?;
        let bare = address.trim_matches(['[', ']']);
        let of_hosts_file = told.what.contains(" of the hosts file)");
        let named = told.what.split_once(" (").map(|(_, rest)| ended(rest, " "));
        return match (&told.rule, named) {
            (_, Some(name)) if of_hosts_file => Some(vec![
                resolve(name, inside.as_deref().unwrap_or(bare)),
                format!("{name}:{port}"),
            ]),
            // What is refused of a name's rule is told of the address that was tried.
            (Some(rule), _) if is_name(rule) => {
                let name = rule.split(':').next()?;
                Some(vec![resolve(name, bare), format!("{name}:{port}")])
            }
            _ if what.starts_with("tcp ") => Some(vec![format!("{address}:{port}")]),
            _ => None,
        };
    }
    let denied = told.rule.as_deref().and_then(|rule| rule.split('/').next());
    let denied = denied.filter(|address| address.parse::<std::net::IpAddr>().is_ok());
    let address = inside.as_deref().or(denied).unwrap_or("93.184.216.34");
    is_name(what).then(|| vec![resolve(what, address), format!("http://{what}/")])
}

/// The addresses of a lookup that led inside: those that the advice adds to the blocks of the rule.
fn inside(advice: &str) -> Option<String> {
    let (_, list) = advice.split_once("resolves_to = [")?;
    let single = ended(list, "]").split(", ").filter_map(|block| {
        let block = block.trim_matches('"');
        block.strip_suffix("/32").or_else(|| block.strip_suffix("/128"))
    });
    Some(single.collect::<Vec<_>>().join(","))
}

/// Of one name, without a wildcard.
fn is_name(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    name.parse::<std::net::IpAddr>().is_err() && egress_user::policy::Name::parse(name).is_ok()
}

/// How often advice is followed before it counts as none: what is asked may be refused for another reason.
const MOST_ROUNDS: usize = 4;

/// The options of a run, and what it told.
type Seen = (Vec<String>, Told);

/// Claims that every line of advice that a run has printed is of a kind that is followed for real, and that with it
/// `egress check` allows what was refused.
#[track_caller]
pub(crate) fn holds(out: &Finished<'_>) {
    static SEEN: Mutex<Option<HashSet<Seen>>> = Mutex::new(None);
    let Some(given) = options(&out.words) else { return };
    for told in told(&out.complaints()) {
        let (reason, shape) = told.kind();
        let is_followed = KINDS.contains(&(reason.as_str(), shape.as_str()));
        assert!(is_followed, "nobody follows advice like {told:?} ({reason}: {shape})\n{out}");
        let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_new = seen.get_or_insert_default().insert((given.clone(), told.clone()));
        drop(seen);
        // What others wrote is shown escaped, and is no file's name then.
        let is_escaped = told.advice.contains('\\');
        if !told.has_no_line() && !is_escaped && is_new {
            helps(out, &given, &told);
        }
    }
}

#[track_caller]
fn helps(out: &Finished<'_>, given: &[String], told: &Told) {
    let Some(question) = question(told) else { return };
    let mut options = given.to_vec();
    let mut next = told.clone();
    for round in 0..MOST_ROUNDS {
        next.follow(&mut options);
        let words = ["check"].into_iter().chain(options.iter().map(String::as_str));
        let words = words.chain(question.iter().map(String::as_str));
        let check = out.world.direct().run([EGRESS].into_iter().chain(words));
        if check.status.success() {
            return;
        }
        let line = |label: &str| {
            let text = check.text();
            let found = text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
            found.map(str::to_owned)
        };
        let more = line("to change ").filter(|_| round + 1 < MOST_ROUNDS);
        let reason = line("reason ").unwrap_or_default();
        let Some(more) = more.filter(|more| {
            !reason.starts_with(&told.reason) || !next.advice.contains(more.as_str())
        }) else {
            panic!("{told:?} does not help\n{check}\n{out}");
        };
        next.advice = format!("to allow: {more}");
    }
}
