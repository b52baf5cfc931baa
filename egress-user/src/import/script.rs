//! Firewall scripts of development containers: the names that they resolve and open.
//!
//! A script is never run, nor expanded. Its names are those of the lists that a loop adds to a set
//! of addresses that pass (`ipset add`, `-j ACCEPT`); a list that no such loop reads opens nothing
//! here, as it may be one of tests. What else its firewall opens is told.
use std::collections::HashMap;

use super::{
    Source, failed,
    page::Page,
    patterns::{self, Dialect},
    tree::closes,
};
use crate::{
    config::ConfigError,
    policy::{Action, PortSet},
};

mod firewall;
mod shell;

use self::shell::{Kind, Token};

/// Most lists that a list is made of, one in the other.
const MOST_DEPTH: usize = 8;

/// A word of a list, and its line.
type Item = (String, usize);

/// A variable with words.
#[derive(Default)]
struct List {
    items: Vec<Item>,
    line: usize,
    /// Assigned more than once: which counts depends on the run.
    is_ambiguous: bool,
    is_used: bool,
}

struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
    lists: HashMap<String, List>,
    /// Bodies of functions.
    functions: HashMap<String, Vec<Token>>,
    found: usize,
}

/// Whether the text is a shell script.
pub(super) fn is_script(name: &str, text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    name.ends_with(".sh")
        || name.ends_with(".bash")
        || (first.starts_with("#!") && first.contains("sh"))
}

pub(super) fn read(source: Source<'_>, page: &mut Page<'_>) -> Result<(), ConfigError> {
    let tokens = shell::tokens(source.text);
    page.section("");
    page.note(
        "The script was read for names, and not run: its conditions and checks do not count.",
    );
    let lists = lists(&tokens);
    let functions = functions(&tokens);
    let mut file = File { source, page, lists, functions, found: 0 };
    file.loops(&tokens);
    file.firewall(&tokens)?;
    let mut unused: Vec<_> = file.lists.iter().filter(|(_, list)| !list.is_used).collect();
    unused.sort_by_key(|(_, list)| list.line);
    for (name, list) in unused {
        if list.items.iter().any(|(text, _)| is_host(text)) {
            let why = format!(
                "the list {name}: no loop adds it to what passes, so that it opens nothing here; name \
                 its hosts in [network.domains] if they are meant"
            );
            let place = format!("{}:{}", source.name, list.line);
            file.page.leave_out(&place, why);
        }
    }
    if file.found == 0 {
        let message = "no list of names that a loop adds to what passes";
        let suggestion = "give the names alone, one on a line";
        return Err(failed(source.name, 1, message, suggestion));
    }
    Ok(())
}

fn is_host(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_alphanumeric() || ".-_*:".contains(c))
}

fn lists(tokens: &[Token]) -> HashMap<String, List> {
    let mut lists: HashMap<String, List> = HashMap::new();
    let mut add = |name: &str, adds: bool, line: usize, items: Vec<Item>| match lists.get_mut(name)
    {
        None => {
            lists.insert(name.to_owned(), List { items, line, ..List::default() });
        }
        Some(list) => {
            list.is_ambiguous |= !adds && !list.items.is_empty();
            list.items.extend(items);
        }
    };
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Array { name, adds } => {
                let inside =
                    tokens.iter().skip(at + 1).take_while(|token| token.kind != Kind::Close);
                let item = |token: &Token| Some((token.word()?.to_owned(), token.line));
                add(name, *adds, token.line, inside.filter_map(item).collect());
            }
            Kind::Word(text) => {
                if let Some((name, value)) = text.split_once('=')
                    && !name.is_empty()
                    && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
                    && !value.starts_with("$(")
                {
                    let items = value.lines().enumerate().flat_map(|(below, line)| {
                        let words = line.split_ascii_whitespace();
                        words.map(move |word| (word.to_owned(), token.line + below))
                    });
                    add(name, false, token.line, items.collect());
                }
            }
            Kind::Close | Kind::End => {}
        }
    }
    lists
}

/// Functions by their names: `name() { ... }`.
fn functions(tokens: &[Token]) -> HashMap<String, Vec<Token>> {
    let mut functions = HashMap::new();
    for (at, window) in tokens.windows(3).enumerate() {
        if let [name, open, close] = window
            && (open.word(), close.word()) == (Some("("), Some(")"))
            && let Some(name) = name.word()
        {
            let mut depth = 0_usize;
            let body = tokens.iter().skip(at + 3).take_while(|token| {
                match token.word() {
                    Some("{") => depth += 1,
                    Some("}") => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth > 0 || token.word() != Some("}")
            });
            functions.insert(name.to_owned(), body.cloned().collect());
        }
    }
    functions
}

impl File<'_, '_> {
    /// Every loop over words.
    fn loops(&mut self, tokens: &[Token]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let is_for = token.word() == Some("for");
            let is_while = token.word() == Some("while");
            let is_first = at == 0
                || tokens.get(at - 1).is_some_and(|before| {
                    before.kind == Kind::End
                        || matches!(before.word(), Some("do" | "then" | "else" | "{"))
                });
            if !is_first || !(is_for || is_while) {
                at += 1;
                continue;
            }
            let header: Vec<_> =
                tokens.iter().skip(at + 1).take_while(|token| token.word() != Some("do")).collect();
            let start = at + 2 + header.len();
            let body = body(tokens.get(start..).unwrap_or_default());
            let after = start + body.len();
            if let Some(action) = self.opens(body, 0) {
                match is_for {
                    true => self.for_loop(token.line, &header, action),
                    false => {
                        self.while_loop(token.line, tokens.get(after..).unwrap_or_default(), action)
                    }
                }
                // Loops within it are about addresses of these names.
                at = after;
            } else {
                at = start;
            }
        }
    }

    fn for_loop(&mut self, line: usize, header: &[&Token], action: Action) {
        let mut words =
            header.iter().filter_map(|token| Some((token.word()?.to_owned(), token.line)));
        let (variable, is_in) = (words.next(), words.next());
        if is_in.is_none_or(|(word, _)| word != "in") {
            return;
        }
        let is_denied = variable.is_some_and(|(name, _)| closes(&name));
        let action = if is_denied { Action::Deny } else { action };
        self.words(words.collect(), line, action, 0);
    }

    /// `while read x; do ... done <<< "$LIST"`, or from a program or file, which is told.
    fn while_loop(&mut self, line: usize, after: &[Token], action: Action) {
        let rest: Vec<_> = after.iter().take_while(|token| token.kind != Kind::End).collect();
        let at = rest.iter().position(|token| token.word() == Some("<<<"));
        if let Some(item) = at.and_then(|at| rest.get(at + 1)).and_then(|token| token.word()) {
            return self.words(vec![(item.to_owned(), line)], line, action, 0);
        }
        let place = self.place(line);
        let why = "a loop over what a program or a file gives when the script runs: its names or \
                   addresses are not known here. Name the hosts that are meant, as \
                   \"**.github.com\" = \"allow\" for ranges of GitHub";
        match action {
            Action::Allow => self.page.leave_out(&place, why),
            Action::Deny => self.page.lose(&place, why),
        }
    }

    /// Words of a loop: names, and lists of them.
    fn words(&mut self, words: Vec<Item>, line: usize, action: Action, depth: usize) {
        for (text, at) in words {
            let Some(name) = list_name(&text) else {
                self.name(&text, at, action);
                continue;
            };
            let action = if closes(name) && action == Action::Allow {
                let why = format!("the list {name}: denied, as its name says that it closes");
                self.page.change(&self.place(at.max(line)), why);
                Action::Deny
            } else {
                action
            };
            let Some(list) = self.lists.get_mut(name).filter(|_| depth < MOST_DEPTH) else {
                let why = format!("{text}: what it stands for is not known; name its hosts");
                let place = self.place(at.max(line));
                match action {
                    Action::Allow => self.page.leave_out(&place, why),
                    Action::Deny => self.page.lose(&place, why),
                }
                continue;
            };
            list.is_used = true;
            if list.is_ambiguous && action == Action::Allow {
                let why = format!(
                    "the list {name} is assigned twice, and which counts depends on the run"
                );
                let place = self.place(self.lists.get(name).map_or(line, |list| list.line));
                self.page.leave_out(&place, why);
                continue;
            }
            let items = list.items.clone();
            self.words(items, line, action, depth + 1);
        }
    }

    fn name(&mut self, text: &str, line: usize, action: Action) {
        self.found += 1;
        let place = self.place(line);
        for text in text.split([',', ' ']).filter(|text| !text.is_empty()) {
            match action {
                Action::Allow => {
                    patterns::allow_at(self.page, "", text, Dialect::Script, &PortSet::All, &place);
                }
                Action::Deny => patterns::deny(self.page, "", text, Dialect::Script, &place),
            }
        }
    }

    /// Whether these commands add to what passes, or to what does not.
    fn opens(&self, body: &[Token], depth: usize) -> Option<Action> {
        for (at, token) in body.iter().enumerate() {
            let command: Vec<_> = body.iter().skip(at).map_while(|token| token.word()).collect();
            match token.word() {
                Some("ipset") if command.get(1) == Some(&"add") => {
                    let set = command.iter().skip(2).find(|word| !word.starts_with('-'));
                    let is_closing = set.is_some_and(|set| closes(set));
                    return Some(if is_closing { Action::Deny } else { Action::Allow });
                }
                Some("iptables" | "ip6tables" | "nft") => {
                    if let Some(action) = firewall::verdict(&command) {
                        return Some(action);
                    }
                }
                Some(name) if depth < MOST_DEPTH => {
                    if let Some(function) = self.functions.get(name)
                        && let Some(action) = self.opens(function, depth + 1)
                    {
                        return Some(if closes(name) { Action::Deny } else { action });
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }
}

/// The tokens of a loop up to its `done`.
fn body(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.word() {
            Some("do") => depth += 1,
            Some("done") if depth == 0 => return tokens.get(..at).unwrap_or_default(),
            Some("done") => depth -= 1,
            _ => {}
        }
    }
    tokens
}

/// The variable that a word stands for: `$x`, `${x}`, `${x[@]}`.
fn list_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let name = name.strip_suffix("[@]").or_else(|| name.strip_suffix("[*]")).unwrap_or(name);
    Some(name)
}
