//! Measurements, by hand: `cargo test --release --test runtime_container bench -- --ignored --nocapture --test-threads=1`.

use std::fs;
use std::time::{Duration, Instant};

use lxbox::runtime::instances::container::{Ended, forget};

use crate::host::{Host, Kind, run};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Proportional and private memory of a process in KiB.
fn memory(pid: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| -> u64 {
        text.lines()
            .filter(|l| l.starts_with(name))
            .filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    };
    (field("Pss:"), field("Private_"))
}

#[tokio::test]
#[ignore = "a measurement"]
async fn bench_start_exec_stop() {
    for kind in [Kind::Dir, Kind::Overlay] {
        let host = Host::busybox("bench");
        let (mut starts, mut execs, mut stops) = (vec![], vec![], vec![]);
        for _ in 0..20 {
            let begin = Instant::now();
            let running = host.start(&host.spec(kind)).await;
            starts.push(begin.elapsed());
            for _ in 0..5 {
                let begin = Instant::now();
                assert_eq!(run(&running, &["true"]).await.0, 0);
                execs.push(begin.elapsed());
            }
            let begin = Instant::now();
            running.kill().await.unwrap();
            assert!(matches!(running.wait_exit().await.unwrap(), Ended::Stopped(_)));
            stops.push(begin.elapsed());
            forget(&host.dirs()).await.unwrap();
        }
        println!("{kind:?}: start {:?}, exec {:?}, kill to down {:?}", median(starts), median(execs), median(stops));
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn bench_memory() {
    let host = Host::busybox("memory");
    let running = host.start(&host.spec(Kind::Overlay)).await;
    let text = fs::read_to_string(host.dirs().run.join("run.json")).unwrap();
    let shim = serde_json::from_str::<serde_json::Value>(&text).unwrap()["shim"]["pid"].as_i64().unwrap() as i32;
    println!("shim: (pss, private) KiB {:?}", memory(shim));
    println!("{}", fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap());
    println!(
        "{}",
        fs::read_to_string(format!("/proc/{shim}/smaps"))
            .unwrap()
            .lines()
            .filter(|l| l.contains('-') || l.starts_with("Private_Dirty") || l.starts_with("Pss:"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    host.bury(&running).await;
}
