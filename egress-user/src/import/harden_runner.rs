//! harden-runner in GitHub's workflows and composite actions: the `allowed-endpoints` of its steps.
//!
//! Each job has a filter of its own, so that several are several profiles. In `block` a lookup of
//! another name is answered with an address that is closed, and only the listed ports are open.
use super::{
    Source, failed, list,
    page::Page,
    patterns::{self, Dialect},
    tree::{Entry, HOW_TO_CLOSE, Node, Value, get, may_close},
};
use crate::config::ConfigError;

struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
}

/// Whether the tree is a workflow or an action.
pub(super) fn is_workflow(root: &Node) -> bool {
    root.get("jobs").is_some_and(|jobs| jobs.table().is_some())
        || root.get("runs").is_some_and(|runs| runs.get("steps").is_some())
}

pub(super) fn read(
    source: Source<'_>,
    root: &Node,
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    let mut file = File { source, page };
    let mut found: Vec<(&str, &Node)> = Vec::new();
    if let Some(steps) = root.get("runs").and_then(|runs| runs.get("steps")) {
        found.extend(with_of(steps).into_iter().map(|with| ("runs", with)));
    }
    let jobs = root.get("jobs").and_then(Node::table).unwrap_or_default();
    for job in jobs {
        let steps = job.node.get("steps").map(with_of).unwrap_or_default();
        match (steps.as_slice(), job.node.get("uses")) {
            ([], Some(uses)) => file.page.leave_out(
                &file.place(uses.line),
                format!("the job {:?}: its steps stand in another file; import that one", job.key),
            ),
            ([], None) => file.page.leave_out(
                &file.place(job.line),
                format!(
                    "the job {:?} has no step of harden-runner, and reaches everything",
                    job.key
                ),
            ),
            _ => found.extend(steps.into_iter().map(|with| (job.key.as_str(), with))),
        }
    }
    let Some(&(first, _)) = found.first() else {
        let message = "no step of it uses step-security/harden-runner";
        return Err(failed(source.name, 1, message, "give a workflow that has one"));
    };
    let is_one = found.iter().all(|(job, _)| *job == first);
    if !is_one {
        file.page
            .note("Each job is a profile: egress run --profile JOB. Without one nothing is open.");
        file.page.section("");
    }
    let mut seen: Vec<&str> = Vec::new();
    for (job, with) in found {
        if seen.contains(&job) {
            // Which one counts there is a matter of the time.
            let message = format!("the job {job:?} has two steps of harden-runner");
            return Err(failed(source.name, with.line, message, "keep the one that is meant"));
        }
        seen.push(job);
        let profile = if is_one { String::new() } else { file.page.new_profile(job) };
        file.step(&profile, with)?;
    }
    Ok(())
}

/// The settings of each step that uses the action; a step without any stands for itself.
fn with_of(steps: &Node) -> Vec<&Node> {
    let is_ours = |step: &&Node| {
        let uses = step.get("uses").and_then(Node::text).unwrap_or_default().to_ascii_lowercase();
        uses.split('@').next() == Some("step-security/harden-runner")
    };
    let steps = steps.list().unwrap_or_default().iter().filter(is_ours);
    steps.map(|step| step.get("with").unwrap_or(step)).collect()
}

impl File<'_, '_> {
    fn step(&mut self, profile: &str, with: &Node) -> Result<(), ConfigError> {
        self.page.section(profile);
        let settings = with.table().unwrap_or_default();
        for entry in settings {
            self.setting(profile, entry)?;
        }
        if get(settings, "allowed-endpoints").is_none() {
            let why = "without allowed-endpoints no endpoint is open";
            self.page.leave_out(&self.place(with.line), why);
        }
        let why = "what harden-runner opens by itself (its own service, and those that GitHub's runner \
                   needs) is not opened here; name those that are needed";
        self.page.leave_out(&self.place(with.line), why);
        Ok(())
    }

    fn setting(&mut self, profile: &str, entry: &Entry) -> Result<(), ConfigError> {
        let Entry { key, line, node } = entry;
        let place = self.place(*line);
        match key.as_str() {
            "allowed-endpoints" => {
                let items = self.words(entry)?;
                let (foreign, items): (Vec<_>, Vec<_>) =
                    items.into_iter().partition(|(text, _)| text.contains("${{"));
                for (text, place) in foreign {
                    self.page
                        .lose(&place, format!("{text:?}: what it stands for is set elsewhere"));
                }
                list::endpoints(
                    self.page,
                    profile,
                    items.iter().map(|(text, place)| (text.as_str(), place.clone())),
                );
            }
            "denied-endpoints" => {
                for (text, place) in self.words(entry)? {
                    if text.contains("${{") {
                        let message = format!("{text:?} closes something, and is set elsewhere");
                        return Err(failed(self.source.name, *line, message, HOW_TO_CLOSE));
                    }
                    patterns::deny(self.page, profile, &text, Dialect::HardenRunner, &place);
                }
            }
            "egress-policy" => match node.text() {
                Some("block") => {}
                Some("audit") => self.page.change(
                    &place,
                    "egress-policy: audit: everything passes there, and is noted; here the list \
                     holds, as with block",
                ),
                Some(text) if text.contains("${{") => self.page.change(
                    &place,
                    "egress-policy is set elsewhere; here the list holds, as with block",
                ),
                _ => {
                    let message = "egress-policy is neither audit nor block";
                    return Err(failed(self.source.name, *line, message, "write block"));
                }
            },
            "policy" | "use-policy-store" if !is_off(node) => self.page.lose(
                &place,
                format!("{key}: endpoints stand in StepSecurity's policy store; add them by hand"),
            ),
            "policy" | "use-policy-store" | "api-key" | "token" => {}
            key if key.contains("endpoint") && may_close(key, node) => {
                let message = format!("{key} is no setting that is known, and may close something");
                return Err(failed(self.source.name, *line, message, HOW_TO_CLOSE));
            }
            key => self.page.leave_out(&place, format!("not about network: {key}")),
        }
        Ok(())
    }

    /// The words of a text, each with its line. An expression is one word, whatever is in it.
    fn words(&mut self, entry: &Entry) -> Result<Vec<(String, String)>, ConfigError> {
        let text = match &entry.node.value {
            Value::Text(text) => text,
            Value::Null => return Ok(Vec::new()),
            _ => {
                let message = format!("{} is no text", entry.key);
                let suggestion = "write the endpoints as one text, with blanks between them";
                return Err(failed(self.source.name, entry.line, message, suggestion));
            }
        };
        if text.trim().contains('\n') {
            let why = format!(
                "{}: behind | the lines are one word there, which opens nothing; here each is read",
                entry.key
            );
            self.page.change(&self.place(entry.line), why);
        }
        let mut line = entry.line;
        let words = split_words(text).into_iter().map(|word| {
            line = self.line_of(&word, line);
            let place = self.place(line);
            (word, place)
        });
        Ok(words.collect())
    }

    /// The first line from this one on in which the word stands: folding hides it.
    fn line_of(&self, word: &str, from: usize) -> usize {
        let mut lines = self.source.text.lines().enumerate().skip(from.saturating_sub(1));
        lines.find(|(_, line)| line.contains(word)).map_or(from, |(at, _)| at + 1)
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }
}

fn is_off(node: &Node) -> bool {
    node.boolean() == Some(false)
        || matches!(node.value, Value::Null)
        || matches!(node.text(), Some("" | "false"))
}

fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut rest) = (Vec::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        if let Some(inside) = rest.strip_prefix("${{") {
            let length = inside.find("}}").map_or(rest.len(), |end| "${{".len() + end + "}}".len());
            let (expression, after) = rest.split_at(length);
            word.push_str(expression);
            rest = after;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if !c.is_whitespace() {
            word.push(c);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
