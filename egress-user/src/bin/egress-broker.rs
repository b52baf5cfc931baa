//! The process of a run that has its rights: see `egress_broker`.

fn main() -> std::process::ExitCode {
    egress_broker::main()
}
