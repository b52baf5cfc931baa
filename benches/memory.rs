//! Memory of a policy, by the number of rules: `cargo bench -p benches --bench memory`.
//!
//! Octets that the program asked its allocator for, counted: what the policy keeps for a rule, and
//! the most that a load held at once, its text left out.
use benches::policy_text;
use egress_user::config::{self, Flags};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    println!("{:>8}  {:>18}  {:>18}", "rules", "kept / rule", "most / rule");
    for count in [10, 1_000, 100_000_u32] {
        let text = policy_text(count);
        let profiler = dhat::Profiler::builder().testing().build();
        let loaded = config::parse(&text, "bench.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let assembled = config::assemble_layers(vec![loaded], &Flags::default())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let policy = assembled.policy;
        drop((assembled.warnings, assembled.not_built));
        let stats = dhat::HeapStats::get();
        let rules = usize::try_from(count).unwrap_or(usize::MAX);
        let each = |bytes: usize| format!("{} octets", bytes / rules);
        println!("{count:>8}  {:>18}  {:>18}", each(stats.curr_bytes), each(stats.max_bytes));
        drop((policy, profiler));
    }
}
