//! Policy files: a refusal points into the text, and what is accepted means the same each time.
use egress_user::{
    config::{self, Assembled, ConfigError, Flags},
    policy::{
        Action, Name, Pattern, PortRange, PortSet, Refusal, Route, Rule, RuleOptions, Transport,
    },
};
use toml::Value;

/// Most rules of a file that are asked about, as each is asked about in several ways.
const PROBED: usize = 40;

/// Text of a policy file.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let loaded = match config::parse(text, "fuzz.toml") {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            errors.iter().for_each(|error| points_into(text, error));
            let message = errors.to_string();
            assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
            return;
        }
    };
    same_rules_again(&loaded.network.rules);
    let assemble = || config::assemble_layers(vec![loaded.clone()], &Flags::default());
    let (first, second) = match (assemble(), assemble()) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(first), Err(second)) => {
            assert!(!first.is_empty());
            return assert_eq!(first, second);
        }
        (first, second) => panic!("{first:?} and then {second:?}"),
    };
    assert_eq!(first.warnings, second.warnings);
    assert_eq!(first.not_built, second.not_built);
    assert_eq!((&first.network, &first.dns), (&second.network, &second.dns));
    assert_eq!(first.policy.address_entries(), second.policy.address_entries());
    shown_says_the_same(&first);
    for rule in loaded.network.rules.iter().take(PROBED) {
        assert_eq!(answers(&first, &rule.pattern), answers(&second, &rule.pattern));
    }
}

/// What `egress policy show` prints is a policy that says the same.
fn shown_says_the_same(assembled: &Assembled) {
    for origins in [false, true] {
        let shown = config::show(assembled, origins);
        let again = match config::parse(&shown, "shown.toml") {
            Ok(loaded) => config::assemble_layers(vec![loaded], &Flags::default()),
            Err(errors) => panic!("{shown} is refused:\n{errors}"),
        };
        let again = again.unwrap_or_else(|errors| panic!("{shown} is refused:\n{errors}"));
        assert_eq!(config::show(&again, false), config::show(assembled, false));
        assert_eq!(again.policy.address_entries(), assembled.policy.address_entries(), "{shown}");
        assert_eq!(again.dns, assembled.dns, "{shown}");
    }
}

fn points_into(text: &str, error: &ConfigError) {
    let ConfigError { file, place, message, .. } = error;
    assert_eq!(file, "fuzz.toml");
    assert!(!message.is_empty());
    // Every error of a text that was read has its place.
    let Some(place) = place else { panic!("{error:?} has no place") };
    assert!(place.line <= 1 + text.matches('\n').count(), "{error:?} is behind the end");
    let characters = text.lines().nth(place.line - 1).unwrap_or_default().chars().count();
    assert_eq!(place.text.chars().count(), characters, "{error:?} shows another line");
    // One behind the end: what is missing there.
    assert!((1..=characters + 1).contains(&place.column), "{error:?}");
    assert!(place.length >= 1 && place.column + place.length <= characters + 2, "{error:?}");
    assert!(!place.text.chars().any(char::is_control), "{error:?}");
}

/// The rules in their normal form are the same rules.
fn same_rules_again(rules: &[Rule]) {
    let mut written: Vec<&Rule> = Vec::new();
    let (mut domains, mut addresses) = (String::new(), String::new());
    for rule in rules {
        // Two spellings of one pattern cannot be two keys of one table.
        if written.iter().any(|other| other.pattern == rule.pattern) {
            continue;
        }
        written.push(rule);
        let table = if rule.pattern.is_address() { &mut addresses } else { &mut domains };
        *table += &format!("\"{}\" = {}\n", rule.pattern, value_of(rule));
    }
    let text = format!("[network.domains]\n{domains}[network.addresses]\n{addresses}");
    let again = match config::parse(&text, "again.toml") {
        Ok(loaded) => loaded.network.rules,
        Err(errors) => panic!("{text} is refused:\n{errors}"),
    };
    assert_eq!(again.len(), written.len(), "{text}");
    for rule in written {
        let same = |other: &Rule| {
            (&other.pattern, other.action, &other.options)
                == (&rule.pattern, rule.action, &rule.options)
        };
        assert!(again.iter().any(same), "{rule:?} is not in {text}");
    }
}

fn value_of(rule: &Rule) -> Value {
    let text = |text: &str| Value::from(text);
    if rule.options == RuleOptions::default() {
        return text(rule.action.as_str());
    }
    assert_eq!(rule.action, Action::Allow, "{rule:?} has options");
    let mut table = toml::Table::from_iter([("action".to_owned(), text("allow"))]);
    let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    let texts = |list: &[Box<str>]| Value::Array(list.iter().map(|item| text(item)).collect());
    let RuleOptions { ports, transport, any_protocol, methods, paths, via, ech, .. } =
        &rule.options;
    if let ports @ PortSet::Only(_) = ports {
        let entry = |entry: PortRange| match entry.is_one() {
            true => Value::from(i64::from(entry.first())),
            false => Value::from(entry.to_string()),
        };
        put("ports", Value::Array(ports.entries().map(entry).collect()));
    }
    if let Some(transports) = transport {
        let words = transports.iter().copied().map(Transport::as_str).map(text);
        put("transport", Value::Array(words.collect()));
    }
    if *any_protocol {
        put("protocol", text("any"));
    }
    if let Some(methods) = methods {
        put("methods", texts(methods));
    }
    if let Some(paths) = paths {
        put("paths", texts(paths));
    }
    if let Some(via) = via {
        put("via", text(Route::as_str(*via)));
    }
    if let Some(ech) = ech {
        put("ech", text(ech.as_str()));
    }
    Value::Table(table)
}

/// What the policy says to hosts in and around the pattern.
fn answers(assembled: &Assembled, pattern: &Pattern) -> Vec<Option<String>> {
    let said = |refusal: Refusal| refusal.to_string();
    let policy = &assembled.policy;
    match pattern {
        Pattern::Exact(base) | Pattern::Below(base) | Pattern::AtOrBelow(base) => {
            [base.to_string(), format!("x.{base}"), format!("x{base}")]
                .iter()
                .filter_map(|text| Name::parse(text).ok())
                .map(|name| policy.name(&name).err().map(said))
                .collect()
        }
        Pattern::Address(address) => vec![policy.address(*address).err().map(said)],
        Pattern::Block(block) => [block.network(), block.broadcast()]
            .map(|address| policy.address(address).err().map(said))
            .into(),
        Pattern::Any => vec![Some(policy.allows_public().to_string())],
    }
}
