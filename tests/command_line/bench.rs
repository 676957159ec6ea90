//! Runs each mode of `postrider bench` for a short time on a daemon of its own.
//!
//! Figures of such short runs mean nothing. The tests check that each mode ends, delivers what was accepted,
//! and prints the promised figures.

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use serde_json::Value;

    fn bench(args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(["--json", "bench", "--duration", "300ms", "--warm-up", "50ms", "--connections", "4"]);
        command.args(args).env_remove("POSTRIDER_KEY").output().unwrap()
    }

    /// Runs the mode and returns its one line of figures.
    fn figures(args: &[&str]) -> Value {
        let output = bench(args);
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {error}");
        serde_json::from_str(&out).unwrap_or_else(|problem| panic!("{args:?}: {problem}: {out}"))
    }

    fn median(figures: &Value, name: &str) -> f64 {
        figures[name]["median"].as_f64().unwrap_or_else(|| panic!("there is no {name} in {figures}"))
    }

    #[test]
    fn ingest_runs_with_single_events_and_with_batches() {
        for (mode, more) in [("ingest", &["--runs", "2"][..]), ("batch", &["--batch", "7"])] {
            let figures = figures(&[&[mode], more].concat());
            assert_eq!(figures["mode"], mode);
            assert!(median(&figures, "accepted_per_s") > 0.0, "{figures}");
            assert!(median(&figures, "ack_p99_ms") >= median(&figures, "ack_p50_ms"), "{figures}");
            assert!(median(&figures, "RSS_MiB") > 1.0, "{figures}");
            assert!(figures.get("delivered_per_s").is_none(), "{figures}");
            assert_eq!(figures["runs"].as_array().unwrap().len(), if mode == "ingest" { 2 } else { 1 });
        }
    }

    #[test]
    fn end_to_end_delivers_each_accepted_event_once() {
        for (mode, copies) in [("end-to-end", 1.0), ("fan-out", 3.0)] {
            let figures = figures(&[mode, "--fan-out", "3", "--window", "8"]);
            let (accepted, delivered) =
                (median(&figures, "accepted_per_s"), median(&figures, "delivered_per_s"));
            assert!(delivered > accepted * copies * 0.5, "{figures}");
            assert!(median(&figures, "repeated").abs() < 0.5, "{figures}");
            assert!(median(&figures, "CPU_per_delivery_ms") >= 0.0, "{figures}");
        }
    }

    #[test]
    fn slow_neighbour_and_backlog_run_to_their_end() {
        let neighbours = ["--hanging", "2", "--dripping", "2", "--refusing", "2"];
        let beside = figures(&[&["slow-neighbour"], &neighbours[..]].concat());
        assert!(median(&beside, "p99_ratio") > 0.0, "{beside}");
        let backlog = figures(&["backlog", "--deliveries", "400", "--fan-out", "4", "--size", "100"]);
        assert!(median(&backlog, "waiting_deliveries") >= 400.0, "{backlog}");
        assert!(median(&backlog, "start_to_first_retry_s") > 0.0, "{backlog}");
    }

    #[test]
    fn limit_http_and_limit_store_run_to_their_end() {
        for mode in ["limit-http", "limit-store"] {
            assert!(median(&figures(&[mode]), "accepted_per_s") > 0.0, "{mode}");
        }
    }

    #[test]
    fn bench_leaves_a_running_daemon_alone() {
        let output = bench(&["backlog", "--url", "http://127.0.0.1:1"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let refused = bench(&["ingest", "--url", "http://127.0.0.1:1"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
}
