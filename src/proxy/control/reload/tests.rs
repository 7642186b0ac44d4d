use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::proxy::control::fake::FakeWorkers;

/// A directory of a test's own, and what happens to the file `pools.yml` in it.
struct Scene {
    directory: PathBuf,
    file: ConfigFile,
    workers: FakeWorkers,
    log: Log,
    lines: Arc<Mutex<Vec<(u8, String)>>>,
    now: Instant,
}

fn text(name: &str) -> String {
    format!("{name}:\n  listen: 127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n")
}

impl Scene {
    /// With a file that has a pool of the name `one`, which is in place.
    fn new(name: &str) -> Self {
        let name = format!("shardwright-reload-{name}-{}", std::process::id());
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("pools.yml");
        fs::write(&path, text("one")).unwrap();
        let now = crate::proxy::control::clock::now();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = {
            let lines = Arc::clone(&lines);
            Arc::new(move |level, line: &str| lines.lock().push((level, line.to_owned())))
        };
        let file = ConfigFile::new(path, text("one").into(), now);
        Self { directory, file, workers: FakeWorkers::default(), log, lines, now }
    }

    /// Lets some seconds pass, one look each.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.file.look(&self.workers, &self.log, self.now);
        }
    }

    fn reload(&mut self) {
        self.file.reload(&self.workers, &self.log);
    }

    fn write(&self, text: &str) {
        fs::write(&self.file.path, text).unwrap();
    }

    fn reloads(&self) -> Vec<String> {
        self.workers.reloads.lock().clone()
    }

    /// What was logged since this was asked last, with the path as `FILE`.
    fn logged(&self) -> Vec<(u8, String)> {
        let path = self.file.path.display().to_string();
        let lines = std::mem::take(&mut *self.lines.lock());
        lines.into_iter().map(|(level, line)| (level, line.replace(&path, "FILE"))).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn an_order_reloads_the_file_and_says_what_changed() {
    let mut scene = Scene::new("order");
    scene.write(&text("two"));
    scene.reload();
    assert_eq!(scene.reloads(), ["two"]);
    let said = [
        (level::NOTICE, "conf: 'FILE' is reloaded".to_owned()),
        (level::NOTICE, "conf: pool 'two' is there".to_owned()),
    ];
    assert_eq!(scene.logged(), said);
    // It is known now, and not taken for a change.
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two"]);
}

#[test]
fn a_bad_file_changes_nothing_and_the_log_says_where_it_is_bad() {
    let mut scene = Scene::new("bad");
    scene.write("a:\n  timeout: 4oo\n  servers:\n   - a:1:1\n");
    scene.reload();
    let reason = "line 2, column 12: directive \"timeout\" is not a number";
    let line = format!("conf: 'FILE' is refused, nothing is different: {reason}");
    assert_eq!(scene.logged(), [(level::ERROR, line)]);
    fs::write(&scene.file.path, b"a:\n  b\xff: 1\n").unwrap();
    scene.reload();
    assert!(scene.logged()[0].1.ends_with(": line 2, column 4: this is not UTF-8"));
    *scene.workers.refusal.lock() = Some("127.0.0.1:1 is in use".into());
    scene.write(&text("two"));
    scene.reload();
    assert!(scene.logged()[0].1.ends_with("nothing is different: 127.0.0.1:1 is in use"));
    assert!(scene.reloads().is_empty());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let mut scene = Scene::new("directory");
    fs::remove_file(&scene.file.path).unwrap();
    scene.reload();
    fs::create_dir(&scene.file.path).unwrap();
    scene.reload();
    let logged = scene.logged();
    assert!(logged[0].1.contains("No such file"), "{logged:?}");
    assert!(logged[1].1.ends_with("is not a regular file"), "{logged:?}");
}

#[test]
fn a_watched_file_is_reloaded_once_it_has_stayed_the_same_for_a_look() {
    let mut scene = Scene::new("watch");
    scene.pass(5);
    assert!(scene.reloads().is_empty());

    scene.write(&text("half")[..20]);
    scene.pass(1);
    scene.write(&text("whole"));
    scene.pass(1);
    assert!(scene.reloads().is_empty());
    scene.pass(1);
    assert_eq!(scene.reloads(), ["whole"]);
    assert_eq!(scene.logged()[0].1, "conf: 'FILE' has changed");
    scene.pass(5);
    assert_eq!(scene.reloads(), ["whole"]);
}

#[test]
fn a_file_that_says_the_same_is_not_reloaded() {
    let mut scene = Scene::new("same");
    scene.pass(3);
    fs::remove_file(&scene.file.path).unwrap();
    scene.write(&text("one"));
    scene.pass(3);
    assert!(scene.reloads().is_empty());
    assert!(scene.logged().is_empty());
}

#[test]
fn a_file_of_the_same_length_and_time_is_another_one() {
    let mut scene = Scene::new("length");
    scene.pass(3);
    let time = fs::metadata(&scene.file.path).unwrap().modified().unwrap();
    scene.write(&text("two"));
    fs::File::options().write(true).open(&scene.file.path).unwrap().set_modified(time).unwrap();
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two"]);
}

#[test]
fn a_bad_watched_file_is_refused_once() {
    let mut scene = Scene::new("once");
    scene.write("bad");
    scene.pass(10);
    assert_eq!(scene.logged().len(), 2);
    scene.write(&text("two"));
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two"]);
}

#[test]
fn a_symbolic_link_that_is_turned_is_a_change() {
    // As Kubernetes does it: pools.yml -> ..data/pools.yml, ..data -> ..2026_1, and ..data is replaced.
    let mut scene = Scene::new("link");
    for (version, name) in [("..2026_1", "one"), ("..2026_2", "two")] {
        fs::create_dir(scene.directory.join(version)).unwrap();
        fs::write(scene.directory.join(version).join("pools.yml"), text(name)).unwrap();
    }
    fs::remove_file(&scene.file.path).unwrap();
    symlink("..2026_1", scene.directory.join("..data")).unwrap();
    symlink("..data/pools.yml", &scene.file.path).unwrap();
    scene.pass(3);
    assert!(scene.reloads().is_empty());
    symlink("..2026_2", scene.directory.join("..data_tmp")).unwrap();
    fs::rename(scene.directory.join("..data_tmp"), scene.directory.join("..data")).unwrap();
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two"]);
}

#[test]
fn a_file_that_is_away_is_missed_once_and_welcome_back() {
    let mut scene = Scene::new("away");
    scene.pass(3);
    fs::remove_file(&scene.file.path).unwrap();
    // It may be on its way.
    scene.pass(1);
    assert!(scene.logged().is_empty());
    scene.pass(5);
    let logged = scene.logged();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].1.contains("No such file"), "{logged:?}");
    scene.write(&text("two"));
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two"]);
}

#[test]
fn files_that_the_configuration_names_are_watched_with_it() {
    let mut scene = Scene::new("named");
    let directory = scene.directory.display().to_string();
    let tls = |pool: &str| {
        let files = "  listen_tls_cert: @/crt\n  listen_tls_key: @/key\n".replace('@', &directory);
        text(pool) + &files
    };
    scene.write(&tls("two"));
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two"]);
    scene.logged();
    // They come into being, one after the other, and are looked at when both have stayed the same.
    fs::write(scene.directory.join("crt"), "1").unwrap();
    scene.pass(1);
    fs::write(scene.directory.join("key"), "1").unwrap();
    scene.pass(1);
    assert_eq!(scene.reloads(), ["two"]);
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two", "two"]);
    let line = format!("conf: '{directory}/key' has changed");
    assert_eq!(scene.logged()[0], (level::NOTICE, line));
    // A refusal is said once, and the next change tried.
    *scene.workers.refusal.lock() = Some("the key is not that of the certificate".into());
    fs::write(scene.directory.join("crt"), "22").unwrap();
    scene.pass(5);
    assert_eq!(scene.logged().len(), 2);
    *scene.workers.refusal.lock() = None;
    fs::remove_file(scene.directory.join("key")).unwrap();
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two", "two", "two"]);
    // Those that are not named any more are nobody's business.
    scene.write(&text("three"));
    scene.pass(2);
    fs::write(scene.directory.join("crt"), "333").unwrap();
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two", "two", "two", "three"]);
}

#[test]
fn an_order_reads_the_files_that_are_named_as_they_are_then() {
    let mut scene = Scene::new("named-order");
    let crt = scene.directory.join("crt");
    let files = "  server_tls: true\n  server_tls_ca: @\n".replace('@', crt.to_str().unwrap());
    fs::write(&crt, "1").unwrap();
    scene.write(&(text("two") + &files));
    scene.pass(2);
    fs::write(&crt, "22").unwrap();
    scene.reload();
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two", "two"]);
    // As they were at the start: nothing has changed.
    let read = fs::read(&scene.file.path).unwrap();
    scene.file = ConfigFile::new(scene.file.path.clone(), read, scene.now);
    scene.pass(5);
    assert_eq!(scene.reloads(), ["two", "two"]);
    fs::write(&crt, "333").unwrap();
    scene.pass(2);
    assert_eq!(scene.reloads(), ["two", "two", "two"]);
}
