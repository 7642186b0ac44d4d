//! What is written is read again.

use std::fmt::Write;

use super::*;

proptest! {
    #[test]
    fn a_list_that_was_written_is_read(nodes in prop::collection::vec(written(), 1..6)) {
        let mut text = String::new();
        for (place, node) in nodes.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let scheme = if node.tls == Tls::Off { "redis" } else { "rediss" };
            write!(text, "{comma}{scheme}://{}{}", credentials(node), host(node, place)).unwrap();
            write!(text, "/{}", node.database).unwrap();
            text += if node.is_resp3 { "?protocol=resp3" } else { "" };
            text += if node.tls == Tls::Insecure { "#insecure" } else { "" };
        }
        let expected: Vec<_> = nodes.iter().enumerate().map(|(place, node)| moved(node, place)).collect();
        prop_assert_eq!(&parse(&text).nodes, &expected, "{}", text);
    }

    #[test]
    fn a_shard_url_that_was_written_is_read(
        common in written(),
        nodes in prop::collection::vec((written(), 1..=i32::MAX as u32 / 8, prop::option::of(".{1,9}")), 1..6),
    ) {
        let scheme = if common.tls == Tls::Off { "redis" } else { "rediss" };
        let mut text = format!("{scheme}+shard://{}", credentials(&common));
        let mut expected = Vec::new();
        for (place, (node, weight, name)) in nodes.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(text, "{comma}{}*{weight}", host(node, place)).unwrap();
            let mut node = moved(node, place).node.with_weight(Weight::new(*weight).unwrap());
            if let Some(name) = name {
                let name = format!("{name}{place}");
                write!(text, "={}", encoded(&name)).unwrap();
                node = node.with_name(name).unwrap();
            }
            expected.push(UrlNode { node, ..common.clone() });
        }
        write!(text, "/{}", common.database).unwrap();
        text += if common.is_resp3 { "?protocol=resp3" } else { "" };
        text += if common.tls == Tls::Insecure { "#insecure" } else { "" };
        prop_assert_eq!(&parse(&text).nodes, &expected, "{}", text);
    }
}

/// A node to be written; its host is still without the place that makes it the only one.
fn written() -> impl Strategy<Value = UrlNode> {
    let tls = prop::sample::select(&[Tls::Off, Tls::On, Tls::Insecure][..]);
    let text = || prop::option::of(".{1,8}");
    ("[a-z][a-z0-9.]{0,9}", 1..=u16::MAX, tls, text(), text(), 0..i64::MAX, any::<bool>()).prop_map(
        |(host, port, tls, username, password, database, is_resp3)| UrlNode {
            node: Node::new(Address::tcp(host, port)),
            tls,
            username,
            password,
            database,
            is_resp3,
        },
    )
}

fn moved(node: &UrlNode, place: usize) -> UrlNode {
    let Address::Tcp { host, port } = node.node.address() else { unreachable!("all are TCP") };
    UrlNode { node: Node::new(Address::tcp(format!("{host}-{place}"), *port)), ..node.clone() }
}

fn host(node: &UrlNode, place: usize) -> String {
    moved(node, place).node.address().to_string()
}

fn credentials(node: &UrlNode) -> String {
    match (&node.username, &node.password) {
        (None, None) => String::new(),
        (name, password) => {
            let part = |part: &Option<String>| part.as_deref().map(encoded).unwrap_or_default();
            format!("{}:{}@", part(name), part(password))
        }
    }
}

/// Everything but letters and digits percent-encoded.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
