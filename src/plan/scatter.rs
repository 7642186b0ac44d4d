//! From a request to the nodes it goes to.

use super::refusal::cross_shard;
use super::refusal::ejected;
use super::refusal::foreign_pattern;
use super::refusal::no_live_node;
use super::refusal::unroutable;
use super::split::Room;
use super::split::Split;
use crate::command::CommandRule;
use crate::command::FanOut;
use crate::command::Gather;
use crate::command::Keys;
use crate::command::Special;
use crate::error::Result;
use crate::node::NodeId;
use crate::topology::Router;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// As it is, to one node.
    One(NodeId),
    /// In parts, by key.
    Split(Split),
    /// As it is, to all nodes that are not ejected.
    All(Gather),
    /// As it is, to one node after the other until one does not answer nil.
    UntilFound,
    /// The front end does it.
    Special(Special),
}

/// What decides the node of a request that has no key: the key nutcracker 0.5.0 makes up for
/// `COMMAND`, `LOLWUT` and memcached's `version` (`nc_redis.c` `redis_parse_req`).
const PLACEHOLDER: &[u8] = b"placeholder";

/// The node that gets requests without a key.
pub(crate) fn designated(router: &Router) -> Result<NodeId> {
    router.route(PLACEHOLDER).map_err(|why| unroutable(why, router))
}

/// Plans the request `args`, whose first element is the command's name.
///
/// Arguments that the command does not accept go to the designated node, which refuses them in its own
/// words and touches nothing.
///
/// # Errors
///
/// Keys on different nodes, a node that is ejected and keeps its keys, no live node. Nothing is to be
/// sent then.
pub(crate) fn scatter(args: &[&[u8]], rule: &CommandRule, router: &Router) -> Result<Plan> {
    scatter_in(args, rule, router, &mut Room::default())
}

/// As [`scatter`], in room that may have been used before.
pub(crate) fn scatter_in(
    args: &[&[u8]],
    rule: &CommandRule,
    router: &Router,
    room: &mut Room,
) -> Result<Plan> {
    let rule = rule.for_arguments(args);
    match rule.fan_out() {
        FanOut::OneNode => one_node(args, rule, router).map(Plan::One),
        FanOut::ByKey(gather) => match rule.units_of(args) {
            Ok(units) => Split::plan(args, units, gather, router, room),
            Err(_) => designated(router).map(Plan::One),
        },
        FanOut::AllNodes(gather) => {
            if rule.needs_every_node()
                && let Some(node) = router.ejected().iter().next()
            {
                return Err(ejected(node, router));
            }
            any_live(router).map(|()| Plan::All(of_all(gather, router)))
        }
        FanOut::UntilFound => any_live(router).map(|()| Plan::UntilFound),
        FanOut::Special(special) => Ok(Plan::Special(special)),
    }
}

fn any_live(router: &Router) -> Result<()> {
    router.live_nodes().next().map(drop).ok_or_else(no_live_node)
}

/// How the replies of all nodes become one: of a pool that has only one node, it is its reply, as it
/// would be without a pool.
fn of_all(gather: Gather, router: &Router) -> Gather {
    match gather {
        // They are the same for one reply, and know what to answer for none.
        Gather::Sum | Gather::Min => gather,
        _ if router.nodes().len() == 1 => Gather::First,
        _ => gather,
    }
}

/// The one node that owns all keys of the request `args`.
///
/// # Errors
///
/// As [`scatter`].
pub(crate) fn one_node(args: &[&[u8]], rule: &CommandRule, router: &Router) -> Result<NodeId> {
    let Ok(Keys { places, patterns }) = rule.keys_of(args) else {
        return designated(router);
    };
    let mut keys = places.into_iter().filter_map(|place| args.get(place).copied());
    let Some(first) = keys.next() else {
        return designated(router);
    };
    let route = |key: &[u8]| router.route(key).map_err(|why| unroutable(why, router));
    let node = route(first)?;
    for key in keys {
        let other = route(key)?;
        if other != node {
            return Err(cross_shard(args[0], (first, node), (key, other), router));
        }
    }
    for pattern in patterns.into_iter().filter_map(|place| args.get(place).copied()) {
        if !stays_on(pattern, node, router) {
            return Err(foreign_pattern(args[0], pattern, first, node, router));
        }
    }
    Ok(node)
}

/// Whether every key that `pattern` can name is on `node`: there is only one, or the pattern has a
/// hash tag before anything variable. (Redis 7.4 allows the same in cluster mode.)
fn stays_on(pattern: &[u8], node: NodeId, router: &Router) -> bool {
    if router.nodes().len() == 1 {
        return true;
    }
    let Some(tag) = router.topology().hash_tag() else {
        return false;
    };
    // What the element puts in place of the `*` must not come to stand inside the tag, nor before it.
    let fixed = pattern.split(|&byte| byte == b'*').next().unwrap_or_default();
    tag.tagged_part(fixed).is_some() && router.route(fixed) == Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use crate::command::SessionCommand;
    use crate::error::ShardErrorKind;
    use crate::node::Node;
    use crate::topology::Topology;

    fn router() -> Router {
        let nodes = (0..4).map(|index| format!("10.0.0.{index}:6379:1 n{index}").parse().unwrap());
        let nodes: Vec<Node> = nodes.collect();
        Topology::new(nodes).unwrap().with_hash_tag("{}".parse().unwrap()).router()
    }

    fn plan_with(rule: CommandRule, line: &str) -> Result<Plan> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        scatter(&args, &rule, &router())
    }

    fn sort() -> CommandRule {
        *CommandTable::new().rule("SORT").unwrap()
    }

    #[test]
    fn keys_on_two_nodes_are_refused_with_their_names() {
        let rule = CommandRule::keys(crate::command::KeySpec::range(1, -1, 1));
        let error = plan_with(rule, "SINTER {a}1 {a}2 0:key 1:key 2:key 3:key").unwrap_err();
        assert_eq!(error.kind(), ShardErrorKind::CrossShard);
        assert_eq!(error.keys().len(), 2);
        assert_eq!(error.keys()[0], b"{a}1");
        let text = error.to_string();
        assert!(text.contains("\"{a}1\"") && text.contains("'n"), "{text}");
        assert!(matches!(plan_with(rule, "SINTER {a}1 {a}2 {a}3"), Ok(Plan::One(_))));
    }

    #[test]
    fn what_the_server_will_refuse_goes_to_the_designated_node() {
        let router = router();
        let eval = CommandRule::keys(crate::command::KeySpec::counted(2));
        let there = Ok(Plan::One(router.route(PLACEHOLDER).unwrap()));
        let plan = |line| plan_with(eval, line).map_err(|error| error.to_string());
        assert_eq!(plan("EVAL x nonsense"), there);
        assert_eq!(plan("EVAL x 0"), there);
    }

    #[test]
    fn a_pattern_must_name_keys_of_the_same_node() {
        assert!(plan_with(sort(), "SORT {a}list BY nosort GET #").is_ok());
        assert!(plan_with(sort(), "SORT {a}list BY {a}weight_* GET {a}name_*").is_ok());
        for pattern in ["weight_*", "*{a}", "{a*}", "{*}"] {
            let error = plan_with(sort(), &format!("SORT {{a}}list BY {pattern}")).unwrap_err();
            assert_eq!(error.kind(), ShardErrorKind::CrossShard);
            assert!(error.to_string().contains(pattern), "{error}");
        }
    }

    /// The plan of what stands behind the name of a command, by its row.
    fn plan(name: &str, arguments: &str) -> Result<Plan, String> {
        let rule = *CommandTable::new().rule(name).unwrap();
        plan_with(rule, &format!("{name} {arguments}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_can_change_the_plan() {
        assert_eq!(plan("ACL LOG", "10"), Ok(Plan::All(Gather::Concat)));
        assert_eq!(plan("ACL LOG", "reset"), Ok(Plan::All(Gather::First)));
        let session = |command| Ok(Plan::Special(Special::Session(command)));
        let name = session(SessionCommand::ClientLibraryName);
        assert_eq!(plan("CLIENT SETINFO", "LIB-NAME LIB-VER"), name);
        let version = session(SessionCommand::ClientLibraryVersion);
        assert_eq!(plan("CLIENT SETINFO", "lib-ver 1"), version);
        assert_eq!(plan("TS.MRANGE", "- + FILTER a=b"), Ok(Plan::All(Gather::Concat)));
        let grouped = plan("TS.MRANGE", "- + FILTER a=b groupby a REDUCE sum");
        assert!(matches!(grouped, Ok(Plan::Special(Special::Refused(_)))), "{grouped:?}");
    }

    #[test]
    fn a_pool_of_one_node_replies_as_its_node_does() {
        let node: Node = "10.0.0.1:6379:1".parse().unwrap();
        let router = Topology::new([node]).unwrap().router();
        for name in ["INFO", "PUBSUB NUMSUB", "SCRIPT EXISTS", "KEYS", "SLOWLOG GET"] {
            let rule = *CommandTable::new().rule(name).unwrap();
            let plan = scatter(&[name.as_bytes(), b"x", b"x"], &rule, &router).unwrap();
            assert_eq!(plan, Plan::All(Gather::First), "{name}");
        }
    }

    #[test]
    fn keys_behind_options_are_checked_too() {
        let radius =
            |store: &str| plan("GEORADIUS", &format!("{{a}}k 1 2 3 m STORE {{a}} STORE {store}"));
        assert!(matches!(radius("{a}2"), Ok(Plan::One(_))));
        assert!((0..20).any(|number| radius(&format!("{number}:key")).is_err()));
        let read = plan("XREADGROUP", "COUNT 1 GROUP STREAMS x STREAMS {a}s >");
        assert_eq!(read, plan("GET", "{a}s"));
    }
}
