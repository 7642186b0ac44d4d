//! `nutcracker.yml`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardwright::NutcrackerConfig;

fuzz_target!(|text: &str| {
    match NutcrackerConfig::parse(text) {
        Ok(config) => {
            for pool in config.pools() {
                assert!(config.pool(pool.name()).is_some());
                let topology = pool.topology().expect("what was read can be used");
                assert_eq!(topology.router().nodes().len(), pool.servers().len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
