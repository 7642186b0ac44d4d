use super::*;

fn parsed(arguments: &[&str]) -> Result<Action, String> {
    parse(arguments.iter().map(OsString::from)).map_err(|error| error.to_string())
}

fn options(arguments: &[&str]) -> Options {
    match parsed(arguments) {
        Ok(Action::Run(options)) => options,
        other => panic!("{arguments:?} is {other:?}"),
    }
}

fn error(arguments: &[&str]) -> String {
    parsed(arguments).expect_err("it is wrong")
}

#[test]
fn nothing_said_is_nutcrackers_defaults() {
    assert_eq!(options(&[]), Options::default());
    let options = Options::default();
    assert_eq!((options.verbosity, options.stats_port), (5, 22222));
    assert_eq!(options.stats_address, "0.0.0.0");
    assert_eq!(options.stats_interval, Duration::from_millis(30_000));
    assert_eq!((options.output, options.pid_file), (None, None));
    assert_eq!((options.http, options.workers.count().get(), options.watch), (None, 1, false));
}

#[test]
fn a_daemon_has_the_files_of_debians_init_script() {
    let daemon = options(&["-d"]);
    assert!(daemon.daemonize);
    assert_eq!(daemon.output.as_deref(), Some(Options::OUTPUT.as_ref()));
    assert_eq!(daemon.pid_file.as_deref(), Some(Options::PID_FILE.as_ref()));
    let daemon = options(&["-o", "", "-d", "-p", "pid"]);
    assert_eq!((daemon.output, daemon.pid_file), (None, Some("pid".into())));
}

#[test]
fn letters_and_names_mean_the_same() {
    let wanted = Options {
        daemonize: true,
        verbosity: 7,
        output: Some("log".into()),
        configuration: "a.yml".into(),
        stats_port: 1,
        stats_address: "::1".into(),
        stats_interval: Duration::ZERO,
        pid_file: Some("pid".into()),
        ..Options::default()
    };
    for arguments in [
        "-d -v 7 -o log -c a.yml -s 1 -a ::1 -i 0 -p pid -m 512",
        "-dv7 -olog -ca.yml -s1 -a::1 -i0 -ppid -m512",
        "--daemonize --verbose 7 --output log --conf-file a.yml --stats-port 1 --stats-addr ::1 \
         --stats-interval 0 --pid-file pid --mbuf-size 16777216",
        "--daemonize --verbose=7 --output=log --conf-file=a.yml --stats-port=1 --stats-addr=::1 \
         --stats-interval=0 --pid-file=pid --mbuf-size=16384",
        "--da --verb 7 --o=log --c a.yml --stats-p 1 --stats-a ::1 --stats-i=0 --p pid --m 512",
        "operand -d -v 7 more -o log -c a.yml -s 1 -a ::1 -i 0 - -p pid -- -V --nonsense",
    ] {
        let arguments = arguments.split_whitespace().collect::<Vec<_>>();
        assert_eq!(options(&arguments), wanted, "{arguments:?}");
    }
}

#[test]
fn whoever_asks_to_be_told_is_told_and_nothing_is_run() {
    for (arguments, help, stats) in [
        (&["-V"][..], false, false),
        (&["-h"], true, false),
        (&["-D"], false, true),
        (&["-DVh"], true, true),
        (&["--help", "-t", "-d"], true, false),
        (&["--h"], true, false),
        (&["--vers"], false, false),
        (&["--desc"], false, true),
    ] {
        assert_eq!(parsed(arguments), Ok(Action::Tell { help, stats }), "{arguments:?}");
    }
    let Ok(Action::TestConfiguration(options)) = parsed(&["-tc", "a.yml"]) else {
        panic!("a test is asked for")
    };
    assert_eq!(options.configuration, PathBuf::from("a.yml"));
}

#[test]
fn a_verbosity_above_all_is_the_highest() {
    for level in ["11", "12", "99999999999999999999999"] {
        assert_eq!(options(&["-v", level]).verbosity, 11);
    }
    assert_eq!(options(&["-v0"]).verbosity, 0);
}

#[test]
fn what_is_wrong_is_said_as_nutcracker_says_it() {
    let range = "mbuf chunk size must be between 512 and 16777216 bytes";
    for (arguments, text) in [
        (&["-v"][..], "option -v requires a number"),
        (&["-v", "x"], "option -v requires a number"),
        (&["-v", "-1"], "option -v requires a number"),
        (&["-v", ""], "option -v requires a number"),
        (&["-v5x"], "option -v requires a number"),
        (&["--verb"], "option -v requires a number"),
        (&["-s"], "option -s requires a number"),
        (&["-s", "+1"], "option -s requires a number"),
        (&["-s", "0"], "option -s value 0 is not a valid port"),
        (&["-s", "65536"], "option -s value 65536 is not a valid port"),
        (&["-s", "4294967297"], "option -s value 4294967297 is not a valid port"),
        (&["-i", "-5"], "option -i requires a number"),
        (&["-m"], "option -m requires a number"),
        (&["-m", "x"], "option -m requires a non-zero number"),
        (&["-m", "0"], "option -m requires a non-zero number"),
        (&["-m", "511"], range),
        (&["-m", "16777217"], range),
        (&["-m", "4294967808"], range),
        (&["-o"], "option -o requires a file name"),
        (&["--conf-file"], "option -c requires a file name"),
        (&["-p"], "option -p requires a file name"),
        (&["-a"], "option -a requires a string"),
        (&["-x"], "invalid option -- 'x'"),
        (&["-?"], "invalid option -- '?'"),
        (&["-hx"], "invalid option -- 'x'"),
        (&["--help=3"], "invalid option -- 'h'"),
        (&["-x", "-v"], "invalid option -- 'x'"),
        (&["-v", "-x"], "option -v requires a number"),
    ] {
        assert_eq!(error(arguments), text, "{arguments:?}");
    }
}

#[test]
fn a_long_option_that_nobody_knows_is_named() {
    for (arguments, text) in [
        ("--foo=1", "invalid option -- 'foo'"),
        ("--stats", "invalid option -- 'stats'"),
        ("--ver", "invalid option -- 'ver'"),
        ("--d", "invalid option -- 'd'"),
        ("--w", "invalid option -- 'w'"),
        ("--=x", "invalid option -- ''"),
        ("--watch=no", "invalid option -- 'watch'"),
    ] {
        assert_eq!(error(&[arguments]), text);
    }
}

#[test]
fn an_http_port_alone_is_on_the_loopback_address() {
    for (value, address) in
        [("9090", "127.0.0.1:9090"), ("0.0.0.0:9090", "0.0.0.0:9090"), ("[::1]:9090", "[::1]:9090")]
    {
        assert_eq!(options(&["--http", value]).http, Some(address.parse().unwrap()));
        assert_eq!(options(&[&format!("--ht={value}")]).http, Some(address.parse().unwrap()));
    }
    for value in ["", "x", "65536", "-1", ":9090", "localhost:9090", "127.0.0.1"] {
        assert!(error(&["--http", value]).starts_with("option --http value"), "{value}");
    }
    assert_eq!(error(&["--http"]), "option --http requires a port or an address and a port");
}

#[test]
fn io_uring_is_used_or_not() {
    assert!(options(&[]).io_uring);
    assert!(options(&["--io-uring=auto"]).io_uring);
    assert!(!options(&["--io-uring", "off"]).io_uring);
    for arguments in [&["--io-uring=on"][..], &["--io-uring="], &["--io-uring"]] {
        assert_eq!(error(arguments), "option --io-uring requires auto or off", "{arguments:?}");
    }
}

#[test]
fn workers_are_a_number_or_as_many_as_cores() {
    assert_eq!(options(&["--workers", "4"]).workers.count().get(), 4);
    assert_eq!(options(&["--workers=auto"]).workers, Workers::Auto);
    assert!(Workers::Auto.count().get() >= 1);
    for value in ["0", "-1", "1025", "Auto", "", "1x"] {
        let text = "option --workers requires a number from 1 to 1024 or auto";
        assert_eq!(error(&["--workers", value]), text, "{value:?}");
    }
    assert!(options(&["--watch"]).watch);
}

#[test]
fn a_file_name_may_be_any_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"-c\xff.yml".to_vec());
    let Ok(Action::Run(options)) = parse([name]) else { panic!("it is only a name") };
    assert_eq!(options.configuration.as_os_str().as_encoded_bytes(), b"\xff.yml");
}
