//! harden-runner: `allowed-endpoints` of a workflow's jobs.
use std::{cell::Cell, fmt::Write};

use super::*;

/// What the agent reads behind the first colon; without one the port is 443.
pub(super) fn port_of(item: &str) -> Option<u16> {
    item.split(':').nth(1).map(|text| text.parse().unwrap_or(0))
}

/// The name or wildcard has the asked port. A wildcard is whatever ends with what follows the star.
pub(super) fn allows(items: &[String], asked: Asked) -> bool {
    let is_wanted = |item: &&String| port_of(item).unwrap_or(443) == asked.port;
    let matches = |item: &String| {
        let name = item.split(':').next().unwrap_or_default().to_lowercase();
        match name.split_once('*') {
            Some(("", rest)) => {
                format!("{}.", asked.host).ends_with(&format!("{}.", rest.trim_end_matches('.')))
            }
            Some(_) => false,
            None => is_same(&name, asked) && asked.bare().parse::<std::net::IpAddr>().is_err(),
        }
    };
    // What is meant by a URL is carried though it opens nothing there.
    let url = |item: &String| {
        let host = item.strip_prefix("https://");
        host.is_some_and(|host| is_same(host, asked)) && asked.port == 443
    };
    items.iter().filter(is_wanted).any(matches) || items.iter().any(url)
}

#[derive(Clone, Debug)]
struct Job {
    items: Vec<String>,
    style: &'static str,
    denied: Vec<String>,
}

fn job() -> impl Strategy<Value = Job> {
    let item = pattern().prop_map(|item| item.trim().to_owned());
    let items = prop::collection::vec(item, 0..5);
    let style = prop::sample::select(vec![">", ">-", "|", "\""]);
    let denied = prop::collection::vec(
        prop::sample::select(vec!["a.test:443", "*.a.test:443", "b.test"]),
        0..2,
    );
    (items, style, denied).prop_map(|(items, style, denied)| Job {
        items,
        style,
        denied: denied.into_iter().map(str::to_owned).collect(),
    })
}

fn text(jobs: &[Job]) -> String {
    let mut text = "on: push\njobs:\n".to_owned();
    for (at, Job { items, style, denied }) in jobs.iter().enumerate() {
        write!(
            text,
            "  job{at}:\n    steps:\n      - uses: step-security/harden-runner@v2\n        with:\n          \
             egress-policy: block\n"
        )
        .unwrap();
        if !denied.is_empty() {
            writeln!(text, "          denied-endpoints: \"{}\"", denied.join(" ")).unwrap();
        }
        match *style {
            "\"" => writeln!(text, "          allowed-endpoints: \"{}\"", items.join(" ")),
            style => {
                writeln!(text, "          allowed-endpoints: {style}").unwrap();
                items.iter().try_for_each(|item| writeln!(text, "            {item}"))
            }
        }
        .unwrap();
    }
    text
}

#[test]
fn harden_runner_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(jobs in prop::collection::vec(job(), 1..4))| {
        let text = text(&jobs);
        for (at, job) in jobs.iter().enumerate() {
            let profile = format!("job{at}");
            let profile = (jobs.len() > 1).then_some(profile.as_str());
            let count = hold(&text, profile, |asked| {
                allows(&job.items, asked) && !allows(&job.denied, asked)
            });
            passed.set(passed.get() + count);
        }
        if jobs.len() > 1 {
            assert_eq!(hold(&text, None, |_| false), 0);
        }
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
