//! What is in `script/packaging` is about the program as it is.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use shardwright::NutcrackerConfig;

const PROGRAM: &str = env!("CARGO_BIN_EXE_shardwright-proxy");

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("script/packaging").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Long names of all options, out of the help.
fn options() -> Vec<String> {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stderr).unwrap();
    let lines =
        help.lines().skip_while(|line| *line != "Options:").filter(|line| line.contains(" : "));
    let name = |line: &str| {
        let rest = &line[line.find("--").unwrap()..];
        rest[..rest.find([' ', '=']).unwrap()].to_string()
    };
    let options: Vec<_> = lines.map(name).collect();
    assert!(options.len() >= 16, "{options:?}");
    options
}

/// Words in `text` that begin with two dashes, up to what is no part of a name.
fn long_words(text: &str) -> Vec<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let words = text.split(|letter: char| !is_part(letter));
    words.filter(|word| word.len() > 2 && word.starts_with("--")).collect()
}

/// To be mended by `script/packaging/man PROGRAM > script/packaging/shardwright-proxy.8`.
#[test]
fn the_manual_page_is_what_its_script_writes() {
    let written = Command::new("bash").arg(path("man")).arg(PROGRAM).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = text("shardwright-proxy.8");
    assert_eq!(page, String::from_utf8(written.stdout).unwrap());
    let plain = page.replace('\\', "");
    for option in options() {
        assert!(plain.contains(&format!("fB{option}fR")), "{option}");
    }
}

#[test]
fn the_unit_and_its_defaults_name_options_that_there_are() {
    let options = options();
    for file in ["shardwright-proxy.service", "shardwright-proxy.default"] {
        let text = text(file);
        let words = long_words(&text);
        assert!(!words.is_empty(), "{file}");
        for word in words {
            assert!(options.iter().any(|option| option == word), "{file}: {word}");
        }
    }
}

/// With both, the sockets in `/run/nutcracker` would be where nobody but root may look.
#[test]
fn clients_may_look_into_the_directory_of_the_unit() {
    let unit = text("shardwright-proxy.service");
    let has = |line: &str| unit.lines().any(|it| it == line);
    assert!(has("DynamicUser=yes") && has("RuntimeDirectory=nutcracker"));
    assert!(!unit.contains("RuntimeDirectoryPreserve="));
}

#[test]
fn the_example_is_a_good_configuration() {
    let test = Command::new(PROGRAM).arg("-t").arg("-c").arg(path("nutcracker.yml")).output();
    let test = test.unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stderr));
}

#[test]
fn the_example_is_also_good_with_what_is_commented_out() {
    let example = text("nutcracker.yml");
    let without_marks = example.lines().map(|line| match line.strip_prefix("  #") {
        Some(directive) if !directive.starts_with(' ') => format!("  {directive}\n"),
        _ => format!("{line}\n"),
    });
    let config = NutcrackerConfig::parse(&without_marks.collect::<String>()).unwrap();
    let sessions = config.pool("sessions").unwrap();
    assert!(sessions.server_tls() && sessions.listen_tls_cert().is_some());
}

/// The directives are those that the reader of the configuration knows.
#[test]
fn the_example_has_every_directive() {
    let example = text("nutcracker.yml");
    let source = include_str!("../../../src/config/nutcracker/draft.rs");
    let names = source.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix('"')?.split_once('"')?;
        (rest.starts_with(" => ") && rest.contains("settings") || rest.starts_with(" => server("))
            .then_some(name)
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 32, "{names:?}");
    for name in names {
        let is_there =
            |line: &str| line.trim_start_matches([' ', '#']).starts_with(&format!("{name}:"));
        assert!(example.lines().any(is_there), "{name}");
    }
}
