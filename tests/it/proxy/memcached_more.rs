//! The commands of memcached that nutcracker does not have.

use super::support::Memcacheds;
use super::support::Sides;
use super::support::assert_fits;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;

/// Section 5 and issues: without a word nutcracker closes the connection.
#[test]
fn gat_and_gats_touch_what_they_get() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    let bytes = "set a 1 0 1\r\nA\r\nset b 2 0 1\r\nB\r\ngat 100 a\r\n";
    sides.differ(bytes, "", "STORED\r\nSTORED\r\nVALUE a 1 1\r\nA\r\nEND\r\n");
    let [a, b, c] = [0, 1, 2].map(|node| memcacheds.key(node, "key"));
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let mut client = proxy.client();
        for key in [&a, &b, &c] {
            assert_eq!(client.ask_memcached(format!("set {key} 0 0 1\r\nv")), "STORED\r\n");
        }
        let reply = client.ask_memcached(format!("gat 0 {a} {b} none {c}"));
        for key in [&a, &b, &c] {
            assert!(reply.contains(&format!("VALUE {key} 0 1\r\nv\r\n")), "{reply}");
        }
        assert!(reply.ends_with("END\r\n") && reply.matches("END").count() == 1, "{reply}");
        let reply = client.ask_memcached(format!("gats -1 {a} {b}"));
        assert_fits(&reply, "VALUE … 0 1 …\r\nv\r\nVALUE … 0 1 …\r\nv\r\nEND\r\n");
        assert_eq!(client.ask_memcached(format!("get {a} {b}")), "END\r\n", "they have expired");
    });
}

#[test]
fn all_nodes_are_flushed_if_the_pool_allows_it() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let keys = [0, 1, 2].map(|node| memcacheds.key(node, "key"));
    let fill = |client: &mut Client| {
        for key in &keys {
            assert_eq!(client.ask_memcached(format!("set {key} 0 0 1\r\nv")), "STORED\r\n");
        }
    };
    let get = format!("get {}", keys.join(" "));
    Sides::ours(&memcacheds, &["admin_commands: true"]).each(|proxy| {
        let mut client = proxy.client();
        for line in ["flush_all", "flush_all 0"] {
            fill(&mut client);
            assert_eq!(client.ask_memcached(line), "OK\r\n");
            assert_eq!(client.ask_memcached(&get), "END\r\n");
        }
        fill(&mut client);
        client.send("flush_all noreply\r\n");
        assert_eq!(client.ask_memcached(&get), "END\r\n");
    });
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let mut client = proxy.client();
        fill(&mut client);
        let reply = client.ask_memcached("flush_all");
        assert!(reply.contains("ERROR"), "{reply}");
        assert_eq!(client.ask_memcached(&get).matches("VALUE").count(), 3);
    });
}

#[test]
fn what_concerns_the_servers_is_answered() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let mut client = proxy.client();
        assert_eq!(client.ask_memcached("verbosity 0"), "OK\r\n");
        let stats = client.ask_memcached("stats");
        assert!(stats.starts_with("STAT ") && stats.ends_with("END\r\n"), "{stats}");
        assert_eq!(client.ask_memcached("mn"), "MN\r\n");
        assert_eq!(client.ask_memcached("get none"), "END\r\n");
        client.send("quit\r\n");
        assert_eq!(client.rest(), "");
    });
}

#[test]
fn meta_commands_go_to_the_node_of_their_key() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let sides = Sides::start(&memcacheds, &[]);
    sides.differ("mn\r\n", "", "MN\r\n");
    sides.differ("mg k v\r\nmn\r\n", "", "EN\r\nMN\r\n");
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let mut client = proxy.client();
        for node in 0..3 {
            let key = memcacheds.key(node, "key");
            let mut ask = |line: String| client.ask_memcached(line);
            assert_eq!(ask(format!("ms {key} 2 F7 T0\r\nhi")), "HD\r\n");
            assert_eq!(ask(format!("mg {key} v f k Oq1")), format!("VA 2 f7 k{key} Oq1\r\nhi\r\n"));
            assert_eq!(ask(format!("mg {key}")), "HD\r\n");
            assert_eq!(ask(format!("ms {key} 1 MA\r\n!")), "HD\r\n");
            assert_eq!(ask(format!("get {key}")), format!("VALUE {key} 7 3\r\nhi!\r\nEND\r\n"));
            assert_fits(&ask(format!("me {key}")), &format!("ME {key} …\r\n"));
            assert_eq!(ask(format!("md {key} O9")), "HD O9\r\n");
            assert_eq!(ask(format!("mg {key} v")), "EN\r\n");
            assert_eq!(ask(format!("ma {key} N0 J13 v")), "VA 2\r\n13\r\n");
            assert_eq!(ask(format!("ma {key} v D2")), "VA 2\r\n15\r\n");
            let mut direct = memcacheds.direct(node);
            assert_fits(&direct.ask_memcached(format!("get {key}")), "VALUE …\r\n15\r\nEND\r\n");
        }
        assert_eq!(client.ask_memcached("me none"), "EN\r\n");
    });
}

#[test]
fn quiet_meta_commands_are_silent_and_the_others_keep_their_order() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let keys = [0, 1, 2].map(|node| memcacheds.key(node, "key"));
    let [a, b, c] = &keys;
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let bytes = format!(
            "ms {a} 1 q\r\n1\r\nms {b} 1 q\r\n2\r\nmg {c} v q\r\nmg {a} v q k\r\nmg none v q\r\n\
             mg {b} v k\r\nmd {a} q\r\nmg {a} v q\r\nmn\r\n"
        );
        let expected = format!("VA 1 k{a}\r\n1\r\nVA 1 k{b}\r\n2\r\nMN\r\n");
        assert_eq!(proxy.transcript(bytes.as_bytes()), expected);
        // Base 64: the key itself counts.
        let mut client = proxy.client();
        assert_eq!(client.ask_memcached("ms a2V5 1 b\r\nv"), "HD\r\n");
        assert_eq!(client.ask_memcached("get key"), "VALUE key 0 1\r\nv\r\nEND\r\n");
        assert_eq!(client.ask_memcached("mg a2V5 b v k"), "VA 1 ka2V5 b\r\nv\r\n");
    });
}

#[test]
fn a_meta_command_that_is_wrong_is_an_error() {
    let Some(memcacheds) = Memcacheds::start(2) else { return };
    Sides::ours(&memcacheds, &[]).each(|proxy| {
        let long = "k".repeat(251);
        for line in [
            "mg".to_owned(),
            "ms k".to_owned(),
            "ms k x\r\nmn".to_owned(),
            format!("mg {long} v"),
            format!("ms {long} 2\r\nmn"),
        ] {
            let reply = proxy.transcript(format!("{line}\r\nget l\r\n").as_bytes());
            let error =
                reply.strip_suffix("END\r\n").unwrap_or_else(|| panic!("{line}: {reply:?}"));
            assert!(
                error.starts_with("CLIENT_ERROR ") || error == "ERROR\r\n",
                "{line}: {error:?}"
            );
        }
    });
}

#[test]
fn a_multi_get_of_many_keys_is_one_reply() {
    let Some(memcacheds) = Memcacheds::start(3) else { return };
    let names: Vec<_> = (0..300).map(|number| format!("key-{}", number * 7919)).collect();
    let sets = names.iter().filter(|name| !name.ends_with('3'));
    let sets: String =
        sets.map(|name| format!("set {name} 0 0 4 noreply\r\nof-{}\r\n", &name[4..5])).collect();
    Sides::start(&memcacheds, &[]).each(|proxy| {
        let mut client = proxy.client();
        client.send(&sets);
        for command in ["get", "gets"] {
            let reply = client.ask_memcached(format!("{command} {}", names.join(" ")));
            assert_eq!(
                values(&reply).len(),
                names.iter().filter(|name| !name.ends_with('3')).count()
            );
            for (key, value) in values(&reply) {
                assert_eq!(value, format!("of-{}", &key[4..5]));
            }
        }
        is_in_step(proxy);
    });
}

/// The keys and values of a reply whose values have no line ends.
fn values(reply: &str) -> Vec<(String, String)> {
    let mut lines = reply.split("\r\n");
    let mut values = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("VALUE ") {
            let key = rest.split(' ').next().unwrap().to_owned();
            values.push((key, lines.next().unwrap().to_owned()));
        }
    }
    values
}

fn is_in_step(proxy: &Proxy) {
    assert_eq!(proxy.client().ask_memcached("get none"), "END\r\n");
}
