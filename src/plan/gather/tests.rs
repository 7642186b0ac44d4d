use super::*;

/// The smallest carrier of replies there can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Toy {
    Nil,
    Error(&'static str),
    Integer(i64),
    String(Vec<u8>),
    Array(Vec<Toy>),
    Map(Vec<(Toy, Toy)>),
}

use Toy::Array;
use Toy::Error;
use Toy::Integer;

impl Reply for Toy {
    fn nil() -> Self {
        Self::Nil
    }

    fn integer(number: i64) -> Self {
        Integer(number)
    }

    fn array(elements: Vec<Self>) -> Self {
        Array(elements)
    }

    fn map(pairs: Vec<(Self, Self)>) -> Self {
        Self::Map(pairs)
    }

    fn is_error(&self) -> bool {
        matches!(self, Error(_))
    }

    fn is_map(&self) -> bool {
        matches!(self, Self::Map(_))
    }

    fn as_integer(&self) -> Option<i64> {
        match self {
            Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn into_elements(self) -> Option<Vec<Self>> {
        match self {
            Array(elements) => Some(elements),
            Self::Map(pairs) => Some(pairs.into_iter().flat_map(|(a, b)| [a, b]).collect()),
            _ => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self == other
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn text(text: &str) -> Toy {
    Toy::String(text.as_bytes().to_vec())
}

fn numbers(numbers: &[i64]) -> Toy {
    Array(numbers.iter().copied().map(Integer).collect())
}

fn gathered(how: Gather, replies: Vec<Toy>) -> Result<Toy, BrokenReply> {
    let parts = replies
        .into_iter()
        .enumerate()
        .map(|(index, reply)| Part { node: NodeId::new(index).unwrap(), reply });
    gather(how, parts.collect(), |node| text(&format!("n{}", node.index())))
}

#[test]
fn replies_become_one_as_the_command_wants() {
    let many = vec![Integer(3), Integer(1), Integer(2)];
    assert_eq!(gathered(Gather::First, many.clone()), Ok(Integer(3)));
    assert_eq!(gathered(Gather::Sum, many.clone()), Ok(Integer(6)));
    assert_eq!(gathered(Gather::Min, many), Ok(Integer(1)));
    assert_eq!(
        gathered(Gather::MinEach, vec![numbers(&[1, 5]), numbers(&[2, 3])]),
        Ok(numbers(&[1, 3]))
    );
    assert_eq!(
        gathered(Gather::AndEach, vec![numbers(&[1, 1, 0]), numbers(&[1, 0, 0])]),
        Ok(numbers(&[1, 0, 0]))
    );
    assert_eq!(
        gathered(Gather::Concat, vec![numbers(&[1, 2]), numbers(&[]), numbers(&[2])]),
        Ok(numbers(&[1, 2, 2]))
    );
    assert_eq!(
        gathered(Gather::Union, vec![numbers(&[1, 2]), numbers(&[2, 3])]),
        Ok(numbers(&[1, 2, 3]))
    );
    let pairs = |a: i64, b: i64| Array(vec![text("a"), Integer(a), text("b"), Integer(b)]);
    assert_eq!(gathered(Gather::SumPairs, vec![pairs(1, 2), pairs(3, 4)]), Ok(pairs(4, 6)));
    let twice = |number| Array(vec![text("a"), Integer(number), text("a"), Integer(number)]);
    assert_eq!(gathered(Gather::SumPairs, vec![twice(1), twice(2)]), Ok(twice(3)));
    assert_eq!(gathered(Gather::SumPairs, vec![Array(vec![]), Array(vec![])]), Ok(Array(vec![])));
    assert_eq!(
        gathered(Gather::ByNode, vec![text("x"), text("y")]),
        Ok(Toy::Map(vec![(text("n0"), text("x")), (text("n1"), text("y"))]))
    );
}

#[test]
fn maps_behind_one_another_are_a_map() {
    let one = |name: &str, number| Toy::Map(vec![(text(name), Integer(number))]);
    assert_eq!(
        gathered(Gather::Concat, vec![one("a", 1), Toy::Map(vec![]), one("b", 2)]),
        Ok(Toy::Map(vec![(text("a"), Integer(1)), (text("b"), Integer(2))]))
    );
    assert_eq!(
        gathered(Gather::Concat, vec![one("a", 1), numbers(&[2])]),
        Ok(Array(vec![text("a"), Integer(1), Integer(2)]))
    );
}

#[test]
fn an_error_is_the_reply_except_where_one_success_is_enough() {
    let replies = || vec![Error("NOTBUSY"), Integer(1), Error("other")];
    assert_eq!(gathered(Gather::Sum, replies()), Ok(Error("NOTBUSY")));
    assert_eq!(gathered(Gather::AnySuccess, replies()), Ok(Integer(1)));
    let errors = vec![Error("NOTBUSY"), Error("other")];
    assert_eq!(gathered(Gather::AnySuccess, errors), Ok(Error("NOTBUSY")));
}

#[test]
fn a_reply_of_another_type_names_its_node() {
    let second = Err(BrokenReply { node: NodeId::new(1).unwrap() });
    for (how, good, bad) in [
        (Gather::Sum, Integer(1), text("x")),
        (Gather::Min, Integer(1), Toy::Nil),
        (Gather::MinEach, numbers(&[1]), numbers(&[1, 2])),
        (Gather::AndEach, numbers(&[1]), Array(vec![text("x")])),
        (Gather::Concat, numbers(&[1]), Integer(1)),
        (Gather::Union, numbers(&[1]), Toy::Nil),
        (Gather::SumPairs, Array(vec![text("a"), Integer(1)]), Array(vec![text("a")])),
    ] {
        assert_eq!(gathered(how, vec![good, bad]), second, "{how:?}");
    }
}
