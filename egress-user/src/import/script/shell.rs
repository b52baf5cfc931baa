//! A shell script as words. Nothing of it is run or expanded.

/// A word, or what ends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Without its quotes; what a shell would expand stands as written.
    Word(String),
    /// `NAME=(` or `NAME+=(`: the words up to the bracket belong to it.
    Array { name: String, adds: bool },
    /// The end of an array.
    Close,
    /// A line's end, `;`, `&&`, `||`, `|`, `&`.
    End,
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(text) => Some(text),
            _ => None,
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
    in_array: bool,
    /// The ends of documents that begin after this line.
    documents: Vec<String>,
}

/// The script's tokens, without comments and without the documents in it (`<<EOF`), which are other files.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut reader =
        Reader { rest: text, line: 1, tokens: Vec::new(), in_array: false, documents: Vec::new() };
    while reader.next() {}
    reader.tokens
}

impl Reader<'_> {
    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { line: self.line, kind });
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Reads one token; false at the end.
    fn next(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        match first {
            '\n' => {
                self.push(Kind::End);
                self.line += 1;
                self.skip(1);
                self.skip_documents();
            }
            '\\' if self.rest.starts_with("\\\n") => {
                self.line += 1;
                self.skip(2);
            }
            '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            ')' if self.in_array => {
                self.in_array = false;
                self.push(Kind::Close);
                self.skip(1);
            }
            ';' | '&' | '|' => {
                self.push(Kind::End);
                self.skip(1);
            }
            '(' | ')' | '<' | '>' => self.operator(first),
            c if c.is_whitespace() => self.skip(c.len_utf8()),
            _ => self.word(),
        }
        true
    }

    fn operator(&mut self, first: char) {
        if let Some(rest) = self.rest.strip_prefix("<<<") {
            self.push(Kind::Word("<<<".to_owned()));
            self.rest = rest;
            return;
        }
        if let Some(rest) = self.rest.strip_prefix("<<") {
            let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches([' ', '\t']);
            let end = rest.find(|c: char| c.is_whitespace() || ";|&<>()".contains(c));
            let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
            self.documents.push(word.replace(['"', '\'', '\\'], ""));
            self.rest = rest;
            return;
        }
        self.push(Kind::Word(first.to_string()));
        self.skip(first.len_utf8());
    }

    fn skip_documents(&mut self) {
        for end in std::mem::take(&mut self.documents) {
            while !self.rest.is_empty() {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                self.line += 1;
                if line.trim_start_matches('\t') == end {
                    break;
                }
            }
        }
    }

    fn word(&mut self) {
        let (mut text, line) = (String::new(), self.line);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' | '\'' => self.quoted(c, &mut text),
                '\\' => {
                    let escaped = self.rest.chars().nth(1);
                    if escaped == Some('\n') {
                        self.line += 1;
                    } else {
                        text.extend(escaped);
                    }
                    self.skip(1 + escaped.map_or(0, char::len_utf8));
                }
                '$' | '`' => self.expansion(&mut text),
                '(' if is_assignment(&text) => {
                    self.skip(1);
                    let adds = text.ends_with("+=");
                    let name = text.trim_end_matches(['+', '=']).to_owned();
                    self.in_array = true;
                    self.tokens.push(Token { line, kind: Kind::Array { name, adds } });
                    return;
                }
                c if c.is_whitespace() || ";&|()<>".contains(c) => break,
                c => {
                    text.push(c);
                    self.skip(c.len_utf8());
                }
            }
        }
        self.tokens.push(Token { line, kind: Kind::Word(text) });
    }

    fn quoted(&mut self, quote: char, text: &mut String) {
        self.skip(1);
        while let Some(c) = self.rest.chars().next() {
            if c == quote {
                return self.skip(1);
            }
            if c == '$' && quote == '"' {
                self.expansion(text);
                continue;
            }
            if c == '\n' {
                self.line += 1;
            }
            text.push(c);
            self.skip(c.len_utf8());
        }
    }

    /// `$x`, `${x}`, `$(...)` or a command in backticks, as it stands.
    fn expansion(&mut self, text: &mut String) {
        let (open, close) = match self.rest.as_bytes() {
            [b'$', b'(', ..] => ('(', ')'),
            [b'$', b'{', ..] => ('{', '}'),
            [b'`', ..] => ('`', '`'),
            _ => {
                text.push('$');
                return self.skip(1);
            }
        };
        let mut depth = 0_usize;
        let mut length = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            if c == close && depth > 0 {
                depth -= 1;
                if depth == 0 {
                    length = at + c.len_utf8();
                    break;
                }
            } else if c == open {
                depth += 1;
            }
        }
        let (expansion, rest) = self.rest.split_at(length);
        self.line += expansion.matches('\n').count();
        text.push_str(expansion);
        self.rest = rest;
    }
}

/// `NAME=` or `NAME+=`.
fn is_assignment(text: &str) -> bool {
    let name = text.strip_suffix('=').map(|name| name.strip_suffix('+').unwrap_or(name));
    name.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}
