//! What all clients are to do alike.

/// What an application does with one key after the other, written once for all clients: `program!(cache;)`, and
/// `program!(cache; .await)`. Each line is what came of a call.
macro_rules! program {
    ($cache:expr; $($await:tt)*) => {{
        let cache = $cache;
        let mut said: Vec<String> = Vec::new();
        macro_rules! say {
            ($call:expr) => {
                said.push(format!("{}: {:?}", stringify!($call), $call $($await)*))
            };
        }
        say!(cache.get::<String>("absent"));
        say!(cache.set("text", "hello", 0));
        say!(cache.get::<String>("text"));
        say!(cache.get::<Vec<u8>>("text"));
        say!(cache.get::<(String, u32)>("text"));
        said.push(format!("{}", cache.get::<i32>("text") $($await)*.is_err()));
        say!(cache.set("number", 41_u64, 100));
        say!(cache.get::<u64>("number"));
        say!(cache.set("truth", true, 0));
        say!(cache.get::<bool>("truth"));
        say!(cache.set("half", 0.5_f64, 0));
        say!(cache.get::<f64>("half"));
        say!(cache.set("bytes", &[0_u8, 13, 10, 255, 32][..], 0));
        say!(cache.get::<Vec<u8>>("bytes"));
        say!(cache.set("nothing", "", 0));
        say!(cache.get::<String>("nothing"));
        say!(cache.set("ключ", "значение", 0));
        say!(cache.get::<String>("ключ"));
        say!(cache.add("new", "1", 0));
        say!(cache.add("new", "2", 0));
        say!(cache.get::<String>("new"));
        say!(cache.replace("new", "3", 0));
        say!(cache.replace("absent", "3", 0));
        say!(cache.get::<String>("new"));
        say!(cache.append("new", "4"));
        say!(cache.prepend("new", "2"));
        say!(cache.get::<String>("new"));
        say!(cache.increment("number", 1));
        say!(cache.increment("number", u64::MAX));
        say!(cache.decrement("number", 1));
        say!(cache.decrement("number", 1000));
        say!(cache.increment("created", 5));
        say!(cache.increment("created", 5));
        say!(cache.decrement("created-too", 5));
        said.push(format!("{}", cache.increment("text", 5) $($await)*.is_err()));
        say!(cache.touch("text", 100));
        say!(cache.touch("absent", 100));
        say!(cache.delete("text"));
        say!(cache.delete("text"));
        say!(cache.get::<String>("text"));
        let half = cache.get::<(Vec<u8>, u32, Option<u64>)>("half") $($await)*;
        let (_, flags, cas) = half.unwrap().unwrap();
        said.push(format!("flags {flags}, cas {}", cas.is_some()));
        let cas = cas.unwrap();
        say!(cache.cas("half", "x", 0, cas + 1000));
        say!(cache.cas("half", "x", 0, cas));
        say!(cache.cas("half", "y", 0, cas));
        say!(cache.get::<String>("half"));
        say!(cache.cas("absent", "y", 0, cas));
        let found = cache.gets::<String>(&["half", "absent", "new", "half"]) $($await)*;
        let mut found: Vec<_> = found.unwrap().into_iter().collect();
        found.sort();
        said.push(format!("{found:?}"));
        let versions = cache.version() $($await)*.unwrap();
        said.extend(versions.into_iter().map(|(_, version)| version));
        said.push(cache.stats() $($await)*.unwrap()[0].1["version"].clone());
        say!(cache.flush_with_delay(1000));
        say!(cache.get::<String>("half"));
        say!(cache.flush());
        say!(cache.get::<String>("half"));
        said
    }};
}

pub(crate) use program;
