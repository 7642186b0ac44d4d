//! Lines of nodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardwright::Address;
use shardwright::Node;

fuzz_target!(|line: &str| {
    let Ok(node) = line.parse::<Node>() else { return };
    // Written out again it is the same node.
    let place = match node.address() {
        Address::Tcp { host, port } => format!("[{host}]:{port}"),
        Address::Unix(path) => path.clone(),
        _ => unreachable!("there is no other address"),
    };
    let written = format!("{place}:{} {}", node.weight(), node.name());
    let again = written.parse::<Node>().map(|node| (node.address().clone(), node.weight()));
    if !node.name().contains(' ') {
        assert_eq!(again.ok(), Some((node.address().clone(), node.weight())), "{written}");
    }
});
