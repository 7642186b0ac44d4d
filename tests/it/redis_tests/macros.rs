//! What redis-rs's own tests take for its crate `test_macros`, which is not published.
//!
//! `#[async_test]` makes tests of an async function: without an argument one for each runtime, with one, a connection,
//! one for each runtime and each kind of connection. It has the names `support` and `TestContext` from those tests.

use std::str::FromStr;

use proc_macro::TokenStream;
use proc_macro::TokenTree;

/// Module's name, its features, runtime, how to connect.
const CASES: [(&str, &str, &str, &str); 3] = [
    (
        "tokio_multiplexed",
        r#"feature = "tokio-comp""#,
        "Tokio",
        "client.get_multiplexed_async_connection()",
    ),
    (
        "tokio_manager",
        r#"all(feature = "tokio-comp", feature = "connection-manager")"#,
        "Tokio",
        "client.get_connection_manager()",
    ),
    (
        "smol_multiplexed",
        r#"feature = "smol-comp""#,
        "Smol",
        "client.get_multiplexed_async_connection()",
    ),
];

#[proc_macro_attribute]
pub fn async_test(_: TokenStream, function: TokenStream) -> TokenStream {
    let tokens: Vec<_> = function.clone().into_iter().collect();
    let place =
        tokens.iter().position(|token| token.to_string() == "fn").expect("it is a function");
    let name = tokens[place + 1].to_string();
    let TokenTree::Group(arguments) = &tokens[place + 2] else {
        panic!("arguments follow the name");
    };
    let connects = !arguments.stream().is_empty();
    let tests: String = CASES
        .iter()
        .filter(|(case, ..)| connects || *case != "tokio_manager")
        .map(|(case, features, runtime, connection)| {
            let case = if connects { case } else { case.split('_').next().unwrap_or_default() };
            let call = if connects {
                format!(
                    "let context = crate::support::TestContext::new(); \
                     {name}(context.{connection}.await.unwrap()).await;"
                )
            } else {
                format!("{name}().await;")
            };
            format!(
                "#[cfg({features})] #[test] fn {case}() {{ \
                     crate::support::block_on_all(async {{ {call} }}, \
                     crate::support::RuntimeType::{runtime}) \
                 }}"
            )
        })
        .collect();
    let module = format!("mod {name} {{ use super::*; {function} {tests} }}");
    TokenStream::from_str(&module).expect("it is what was there, in a module")
}
