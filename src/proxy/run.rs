//! From the options to a running proxy.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Instant;

use parking_lot::Mutex;

use super::configuration;
use super::control;
use super::control::Control;
use super::control::ControlSettings;
use super::control::ExitReason;
use super::control::Mailbox;
use super::control::Places;
use super::core::Note;
use super::daemon::PidFile;
use super::daemon::Starter;
use super::driver::Notes;
use super::host;
use super::log;
use super::log::Throttle;
use super::log::log;
use super::options::Options;
use super::patience::Patience;
use super::usage;
use super::workers::Crew;

/// Runs until told to stop.
///
/// `starter` waits to hear that the proxy runs; on any other way out the reason has been logged.
pub(super) fn run(options: Options, starter: Starter) -> ExitCode {
    let (program, version, pid) = (usage::PROGRAM, usage::VERSION, std::process::id());
    // From here on no order to this process ends it by mistake, as they do where nobody asks for them.
    let signals = match Mailbox::open() {
        Ok(signals) => signals,
        Err(error) => return super::fail(format_args!("signals cannot be heard: {error}")),
    };
    log!(Notice, "{program}-{version} started on pid {pid}");
    if let Err(error) = host::raise_descriptor_limit() {
        log!(Warning, "the limit of descriptors could not be raised: {error}");
    }
    match start(&options, starter, signals) {
        Ok((control, crew, _pid_file)) => wait(control, &crew),
        Err(reason) => super::fail(reason),
    }
}

/// What serves, and the file that says so.
type Running = (Control, Arc<Crew>, Option<Arc<PidFile>>);

/// Begins to serve. As with nutcracker (0.5.0 `nc.c` `nc_pre_run`, `nc_core.c` `core_ctx_create`) the pools come last:
/// a second proxy that is started by mistake fails before it takes a unix socket from the first.
fn start(options: &Options, starter: Starter, signals: Mailbox) -> Result<Running, String> {
    let (config, config_text) = configuration::load(&options.configuration).inspect_err(|_| {
        let path = options.configuration.display();
        super::complain(format_args!("configuration file '{path}' syntax is invalid"));
    })?;
    let stats = (options.stats_address.as_str(), options.stats_port);
    let http = options.http.map(|address| (address.ip().to_string(), address.port()));
    let http = http.as_ref().map(|(host, port)| (host.as_str(), *port));
    let mut patience = Patience::new();
    let places = patience.wait_for(|| Places::open(Some(stats), http));
    let places = places.map_err(|error| error.to_string())?;
    let pid_path = options.pid_file.as_deref();
    let pid_file = pid_path.map(|path| patience.wait_for(|| PidFile::take(path)));
    let mut pid_file = pid_file.transpose().map(|file| file.map(Arc::new));
    if options.daemonize
        && let Err(error) = &pid_file
    {
        return Err(without_pid_file(options, error));
    }
    let notes: Notes = Arc::new(note);
    let workers = options.workers.count().get();
    let crew = Crew::start(workers, options.io_uring, &config, &notes, &mut patience)?;
    let crew = Arc::new(crew);
    // No thread that is still about keeps it when it is time for it to go.
    let to_give_up = pid_file.as_ref().ok().and_then(Option::as_ref).map(Arc::downgrade);
    let settings = ControlSettings {
        places,
        config: options.configuration.clone(),
        config_text,
        is_watching: options.watch,
        signals: Some(signals),
        log: Arc::new(|level, text| note(&Note { level, text: text.into() })),
        reopen_log: Box::new(|| {
            if let Err(error) = log::reopen() {
                log!(Error, "the log could not be opened again: {error}");
            }
        }),
        change_level: Box::new(|by| if by > 0 { log::raise() } else { log::lower() }),
        give_up: Box::new(move || {
            if let Some(file) = to_give_up.as_ref().and_then(Weak::upgrade) {
                file.give_up();
            }
        }),
    };
    let control = control::start(settings, Arc::clone(&crew) as Arc<dyn control::Workers>)
        .map_err(|error| format!("the control plane cannot be started: {error}"))?;
    let services = [("stats", control.stats_address()), ("HTTP", control.http_address())];
    for (service, address) in services {
        if let Some(address) = address {
            log!(Notice, "{service} is served on '{address}'");
        }
    }
    // Whoever finds the number may send signals.
    if let Ok(Some(file)) = &pid_file
        && let Err(error) = file.write()
    {
        pid_file = Err(error);
    }
    if let Err(error) = &pid_file {
        let text = without_pid_file(options, error);
        if options.daemonize {
            return Err(text);
        }
        // Whoever started it in the foreground knows it without.
        log!(Error, "{text}");
    }
    starter.ready().map_err(|error| format!("daemonize failed: {error}"))?;
    Ok((control, crew, pid_file.ok().flatten()))
}

fn without_pid_file(options: &Options, error: &io::Error) -> String {
    let path = options.pid_file.as_deref().unwrap_or(Path::new(""));
    format!("pid file '{}' cannot be written: {}", path.display(), log::reason(error))
}

fn wait(control: Control, crew: &Crew) -> ExitCode {
    match control.wait() {
        ExitReason::Drained => {
            if !crew.finish() {
                return super::fail("a worker has failed");
            }
            log!(Notice, "done, rabbit done");
            ExitCode::SUCCESS
        }
        ExitReason::Forced => {
            log!(Notice, "ended at once: it was said twice");
            ExitCode::FAILURE
        }
        ExitReason::WorkersEnded => super::fail("a worker has ended"),
        ExitReason::Failed(error) => {
            super::fail(format_args!("the control plane has failed: {error}"))
        }
        ExitReason::Stopped => ExitCode::FAILURE,
    }
}

/// Logs what the engine or the control plane has to say, but no warning over and over: clients can cause as many of
/// those as they like.
fn note(note: &Note) {
    static WARNINGS: Mutex<Throttle> = Mutex::new(Throttle::new());
    let text = &note.text;
    match note.level {
        0 => log!(Emergency, "{text}"),
        1 => log!(Alert, "{text}"),
        2 => log!(Critical, "{text}"),
        3 => log!(Error, "{text}"),
        4 => {
            #[expect(clippy::disallowed_methods, reason = "a second of real time is meant")]
            let now = Instant::now();
            let missed = WARNINGS.lock().admit(text, now);
            match missed {
                None => {}
                Some(0) => log!(Warning, "{text}"),
                Some(count) => log!(Warning, "{text} (the warning before came {count} times more)"),
            }
        }
        5 => log!(Notice, "{text}"),
        6 => log!(Information, "{text}"),
        _ => log!(Debug, "{text}"),
    }
}
