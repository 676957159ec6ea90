//! Two daemons on one data directory: the second refuses to start and names the process of the first.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::support::client::event;
    use crate::support::process::DaemonSetup;
    use crate::support::{daemon, eventually, memory_dir};

    #[tokio::test]
    async fn a_second_daemon_refuses_to_start_and_names_the_first() {
        let setup = DaemonSetup::new(memory_dir(), "");
        let mut first = setup.spawn(&[]);
        let api = setup.ready(&mut first).await;
        api.accepted(&event("TODO_CREATED", "acme/website", 1)).await;

        let beside = DaemonSetup::new(memory_dir(), "");
        let settings = daemon::config(&setup.data(), "");
        std::fs::write(beside.dir.path().join("config.toml"), settings).unwrap();
        let mut second = beside.spawn(&[]);
        let ended = async || second.has_ended();
        let status =
            eventually("the second ends", Duration::from_secs(30), Duration::from_millis(5), ended).await;
        assert_eq!(status.code(), Some(1), "{}", beside.log());
        let holder = format!("process {} holds its lock", first.id());
        assert!(beside.log().contains(&holder), "{holder} is not in {}", beside.log());

        // The first daemon is unaffected, and after its end the directory is free.
        api.accepted(&event("TODO_CREATED", "acme/website", 2)).await;
        assert_eq!(api.list("/v1/events").await.len(), 2);
        first.kill();
        let mut third = setup.spawn(&[]);
        let api = setup.ready(&mut third).await;
        assert_eq!(api.list("/v1/events").await.len(), 2);
    }
}
