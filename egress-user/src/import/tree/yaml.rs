//! YAML, as trees of its documents.
//!
//! Scalars stay text, as their tools read most of them so; `true`, `false` and `null` are what they
//! are. Aliases are followed, and what they make of a file is bounded; keys that are written twice,
//! merge keys and tags are errors, as what they mean depends on who reads.
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Entry, Node, Value};
use crate::{
    config::ConfigError,
    import::{Source, failed},
};

/// Most values of a file, those that aliases repeat counted each time.
const MOST_NODES: usize = 200_000;
/// Most tables and lists within each other.
const MOST_DEPTH: usize = 64;

/// Every document of a file.
pub(in crate::import) fn of_yaml(source: Source<'_>) -> Result<Vec<Node>, ConfigError> {
    let mut builder = Builder {
        source,
        documents: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut parser = Parser::new_from_str(source.text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| builder.scan_error(&error))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

/// A list or table whose end is not reached.
struct Open {
    line: usize,
    anchor: usize,
    nodes_before: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Table(Table),
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    /// The line of each key.
    keys: HashMap<String, usize>,
    /// The key whose value follows.
    key: Option<(String, usize)>,
}

struct Builder<'a> {
    source: Source<'a>,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// What anchors name, with the number of values in it.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), ConfigError> {
        let line = span.start.line().max(1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), line)?;
                let value = scalar(&text, style);
                self.finish(Node { line, value }, anchor, self.nodes)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), line)?;
                self.open(line, anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), line)?;
                self.open(line, anchor, Kind::Table(Table::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.kind {
                    Kind::List(nodes) => Value::List(nodes),
                    Kind::Table(table) => Value::Table(table.entries),
                };
                let node = Node { line: open.line, value };
                self.finish(node, open.anchor, open.nodes_before)
            }
            Event::Alias(anchor) => {
                let before = self.nodes;
                let of_itself =
                    || self.failed(line, "an alias of what it stands in", "write it out");
                let nodes =
                    self.anchors.get(&anchor).map(|(_, nodes)| *nodes).ok_or_else(of_itself)?;
                // Counted before it is made.
                self.count(nodes, line)?;
                match self.anchors.get(&anchor) {
                    Some((node, _)) => self.finish(node.clone(), 0, before),
                    None => Ok(()),
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, kind: Kind) -> Result<(), ConfigError> {
        if self.open.len() >= MOST_DEPTH {
            let message = format!("more than {MOST_DEPTH} lists and tables within each other");
            return Err(self.failed(line, message, "give the settings alone"));
        }
        self.open.push(Open { line, anchor, nodes_before: self.nodes, kind });
        Ok(())
    }

    /// A whole value, which belongs to what is open.
    fn finish(&mut self, node: Node, anchor: usize, before: usize) -> Result<(), ConfigError> {
        self.count(1, node.line)?;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        let line = node.line;
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.documents.push(node),
            Some(Kind::List(nodes)) => nodes.push(node),
            Some(Kind::Table(table)) => match table.key.take() {
                Some((key, line)) => table.entries.push(Entry { key, line, node }),
                None => {
                    let key = self.key(node)?;
                    if let Some(Open { kind: Kind::Table(table), .. }) = self.open.last_mut() {
                        table.keys.insert(key.clone(), line);
                        table.key = Some((key, line));
                    }
                }
            },
        }
        Ok(())
    }

    /// What is the key of the table that is open.
    fn key(&self, node: Node) -> Result<String, ConfigError> {
        let text = match node.value {
            Value::Text(text) => text,
            Value::Boolean(value) => value.to_string(),
            Value::Null => "null".to_owned(),
            Value::Number | Value::List(_) | Value::Table(_) | Value::Other => {
                return Err(self.failed(node.line, "a key that is no text", "write a text"));
            }
        };
        if text == "<<" {
            let message = "a merge key: what it means depends on who reads";
            return Err(self.failed(node.line, message, "write the keys out"));
        }
        if let Some(Open { kind: Kind::Table(table), .. }) = self.open.last()
            // Some programs take the first and some the last.
            && let Some(first) = table.keys.get(&text)
        {
            let message = format!("{text:?} is written twice, in line {first} too");
            return Err(self.failed(node.line, message, "write it once"));
        }
        Ok(text)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), ConfigError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            let message = format!("more than {MOST_NODES} values, counted with every alias");
            return Err(self.failed(line, message, "give the settings alone, without aliases"));
        }
        Ok(())
    }

    fn refuse_tag(&self, has_tag: bool, line: usize) -> Result<(), ConfigError> {
        if has_tag {
            return Err(self.failed(
                line,
                "a tag: what it means depends on who reads",
                "leave it out",
            ));
        }
        Ok(())
    }

    fn scan_error(&self, error: &ScanError) -> ConfigError {
        let message = format!("this is no YAML: {}", error.info());
        self.failed(
            error.marker().line().max(1),
            message,
            "give the file as the other tool reads it",
        )
    }

    fn failed(&self, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
        failed(self.source.name, line, message, suggestion)
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => Value::Text(text.to_owned()),
    }
}
