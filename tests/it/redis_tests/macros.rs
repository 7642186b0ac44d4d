//! What redis-rs's own tests take for its crate `test_macros`, which is not published.
//!
//! `#[async_test]` makes tests of an async function: without an argument one for each runtime; with a connection, one
//! for each runtime and each kind of connection; with a `bool`, one for each runtime and both values. It has the names
//! `support` and `TestContext` from those tests.

use std::str::FromStr;

use proc_macro::TokenStream;
use proc_macro::TokenTree;

/// Name, its feature, as those tests call it.
const RUNTIMES: [(&str, &str, &str); 2] =
    [("tokio", "tokio-comp", "Tokio"), ("smol", "smol-comp", "Smol")];

/// Name, its feature, how to connect.
const CONNECTIONS: [(&str, &str, &str); 2] = [
    ("multiplexed", "aio", "get_multiplexed_async_connection"),
    ("manager", "connection-manager", "get_connection_manager"),
];

/// One argument for the function: what the test's name says of it, the feature it needs, the code.
fn arguments(declared: &str) -> Vec<(String, &'static str, String)> {
    if declared.is_empty() {
        vec![(String::new(), "aio", String::new())]
    } else if declared.ends_with("bool") {
        let argument = |value: bool| (format!("_{value}"), "aio", value.to_string());
        vec![argument(false), argument(true)]
    } else {
        let argument = |(name, feature, call)| {
            let code =
                format!("{{ context = TestContext::new(); context.client.{call}().await.unwrap() }}");
            (format!("_{name}"), feature, code)
        };
        CONNECTIONS.map(argument).into()
    }
}

#[proc_macro_attribute]
pub fn async_test(_: TokenStream, function: TokenStream) -> TokenStream {
    let tokens: Vec<_> = function.clone().into_iter().collect();
    let place =
        tokens.iter().position(|token| token.to_string() == "fn").expect("it is a function");
    let name = tokens[place + 1].to_string();
    let TokenTree::Group(declared) = &tokens[place + 2] else {
        panic!("arguments follow the name");
    };
    let mut tests = String::new();
    for (runtime, runtime_feature, variant) in RUNTIMES {
        for (suffix, feature, argument) in arguments(&declared.stream().to_string()) {
            tests += &format!(
                "#[cfg(all(feature = {runtime_feature:?}, feature = {feature:?}))]
                 #[test]
                 fn {runtime}{suffix}() {{
                     let test = async {{
                         #[allow(unused)]
                         use crate::support::TestContext;
                         #[allow(unused)]
                         let context: TestContext;
                         {name}({argument}).await;
                     }};
                     crate::support::block_on_all(test, crate::support::RuntimeType::{variant})
                 }}"
            );
        }
    }
    let module = format!("mod {name} {{ use super::*; {function} {tests} }}");
    TokenStream::from_str(&module).expect("it is what was there, in a module")
}
