//! From a command's name to its rule.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;

use super::rule::CommandRule;
use super::table;

/// The rules of all commands: those of Redis 7.0 to 8 and its modules, and those you add.
///
/// A name that is not in the table is taken for a command whose first argument is its only key, which
/// is true of most commands of most modules; a [`strict`](Self::strict) table refuses it instead.
///
/// Names are case-insensitive. Cloning is cheap. A lookup costs about a hundred instructions, however
/// many commands there are.
#[derive(Clone)]
pub struct CommandTable {
    names: Arc<Names>,
    is_strict: bool,
}

/// What a lookup finds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Rule(&'a CommandRule),
    /// The name is not in a table that is strict.
    Unknown,
}

static BUILT_IN: LazyLock<Arc<Names>> = LazyLock::new(|| {
    let mut names = Names::default();
    for (name, rule) in table::GROUPS.iter().flat_map(|(_, rows)| rows.iter()) {
        names.set(name.as_bytes(), *rule);
    }
    Arc::new(names)
});

static UNKNOWN: CommandRule = CommandRule::key(1);

impl CommandTable {
    /// The table of Redis's own commands.
    pub fn new() -> Self {
        Self { names: Arc::clone(&BUILT_IN), is_strict: false }
    }

    /// The same table with a rule for `name`, in place of the one it may have. A subcommand is named
    /// `CONTAINER SUBCOMMAND`; what the container's own rule says then holds for the others.
    pub fn with(mut self, name: &str, rule: CommandRule) -> Self {
        Arc::make_mut(&mut self.names).set(name.as_bytes(), rule);
        self
    }

    /// The same table, but commands that are not in it are refused.
    pub fn strict(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// The rule of `name` (`GET`, or `OBJECT ENCODING` for a subcommand), if it is in the table.
    pub fn rule(&self, name: &str) -> Option<&CommandRule> {
        let (command, subcommand) = split(name.as_bytes());
        let (_, entry) = self.names.find(command)?;
        match subcommand {
            None => entry.rule.as_ref(),
            Some(subcommand) => entry.subcommand(subcommand),
        }
    }

    /// Which arguments of the request `args` are keys: their places, the command's name being
    /// `args[0]`. What `COMMAND GETKEYS` answers, without a server.
    ///
    /// `None` if it cannot be said: the arguments are not what the command wants (a count that is no
    /// number, fewer arguments than keys), or a [`strict`](Self::strict) table does not know it. A
    /// channel (`PUBLISH`) is no key, nor is a pattern (`SORT … BY`).
    ///
    /// # Examples
    ///
    /// ```
    /// use shardwright::CommandTable;
    ///
    /// let table = CommandTable::new();
    /// assert_eq!(table.key_places(&["MSET", "a", "1", "b", "2"]), Some(vec![1, 3]));
    /// assert_eq!(table.key_places(&["EVAL", "return 1", "2", "a", "b", "c"]), Some(vec![3, 4]));
    /// assert_eq!(table.key_places(&["OBJECT", "ENCODING", "a"]), Some(vec![2]));
    /// assert_eq!(table.key_places(&["PING"]), Some(vec![]));
    /// ```
    pub fn key_places(&self, args: &[impl AsRef<[u8]>]) -> Option<Vec<usize>> {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let Found::Rule(rule) = self.find(args.first()?, || args.get(1).copied()) else {
            return None;
        };
        if rule.routes_by_channel() {
            return Some(Vec::new());
        }
        rule.keys_of(&args).ok().map(|keys| keys.places)
    }

    /// The names in the table, subcommands as `CONTAINER SUBCOMMAND`, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.names.entries.iter().flat_map(|entry| {
            let own = entry.rule.is_some().then(|| entry.name.to_string());
            let subcommands = entry.subcommands.iter();
            own.into_iter().chain(subcommands.map(|(sub, _)| format!("{} {sub}", entry.name)))
        })
    }

    /// The rule of the command `name`, whose first argument is `argument`.
    #[inline]
    pub(crate) fn find<'a>(
        &self,
        name: &[u8],
        argument: impl FnOnce() -> Option<&'a [u8]>,
    ) -> Found<'_> {
        self.find_indexed(name, argument).0
    }

    /// As [`find`](Self::find), and the command's number, below [`index_count`](Self::index_count): for
    /// whoever counts by command. A subcommand has its container's number, and all commands that are not in
    /// the table have one together.
    #[inline]
    pub(crate) fn find_indexed<'a>(
        &self,
        name: &[u8],
        argument: impl FnOnce() -> Option<&'a [u8]>,
    ) -> (Found<'_>, usize) {
        match self.names.find(name) {
            Some((index, entry)) => {
                let subcommand = if entry.subcommands.is_empty() {
                    None
                } else {
                    argument().and_then(|argument| entry.subcommand(argument))
                };
                let found = match subcommand.or(entry.rule.as_ref()) {
                    Some(rule) => Found::Rule(rule),
                    None => self.unknown(),
                };
                (found, index)
            }
            None => (self.unknown(), self.names.entries.len()),
        }
    }

    /// How many numbers [`find_indexed`](Self::find_indexed) gives.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the proxy counts by command"))]
    pub(crate) fn index_count(&self) -> usize {
        self.names.entries.len() + 1
    }

    /// Whether the command with this number has subcommands.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the proxy words messages"))]
    pub(crate) fn has_subcommands(&self, index: usize) -> bool {
        self.names.entries.get(index).is_some_and(|entry| !entry.subcommands.is_empty())
    }

    /// The name of the command with this number, in lower case; `unknown` for those not in the table.
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the proxy counts by command"))]
    pub(crate) fn name_of(&self, index: usize) -> String {
        match self.names.entries.get(index) {
            Some(entry) => entry.name.to_string().to_ascii_lowercase(),
            None => "unknown".into(),
        }
    }

    fn unknown(&self) -> Found<'_> {
        if self.is_strict { Found::Unknown } else { Found::Rule(&UNKNOWN) }
    }
}

impl Default for CommandTable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CommandTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandTable")
            .field("commands", &self.names.entries.len())
            .field("is_strict", &self.is_strict)
            .finish_non_exhaustive()
    }
}

/// The names longer than this are searched one by one; no command of Redis is.
const SHORT: usize = 24;

/// A name in upper case, as three words that are compared at once; a longer one by its bytes.
#[derive(Clone, PartialEq, Eq)]
enum Name {
    Short([u64; SHORT / 8]),
    Long(Box<[u8]>),
}

impl Name {
    fn new(name: &[u8]) -> Self {
        match pack(name) {
            Some(words) => Self::Short(words),
            None => Self::Long(name.to_ascii_uppercase().into()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = match self {
            Self::Short(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            Self::Long(bytes) => bytes.to_vec(),
        };
        f.write_str(String::from_utf8_lossy(&bytes).trim_end_matches('\0'))
    }
}

/// `name` in upper case and filled up with zeros.
#[inline]
fn pack(name: &[u8]) -> Option<[u64; SHORT / 8]> {
    let mut bytes = [0; SHORT];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    bytes.make_ascii_uppercase();
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    Some([word(0), word(8), word(16)])
}

#[derive(Clone)]
struct Entry {
    name: Name,
    /// None for a container of which only subcommands are known.
    rule: Option<CommandRule>,
    subcommands: Vec<(Name, CommandRule)>,
}

impl Entry {
    fn subcommand(&self, name: &[u8]) -> Option<&CommandRule> {
        let name = Name::new(name);
        self.subcommands.iter().find(|(other, _)| *other == name).map(|(_, rule)| rule)
    }
}

/// Entries, and an open-addressed index over the short names.
#[derive(Clone, Default)]
struct Names {
    entries: Vec<Entry>,
    /// Place in `entries` plus one, or 0; a power of two long and at most a quarter full.
    index: Vec<u32>,
}

impl Names {
    fn set(&mut self, name: &[u8], rule: CommandRule) {
        let (command, subcommand) = split(name);
        let place = match self.find(command) {
            Some((place, _)) => place,
            None => {
                self.entries.push(Entry {
                    name: Name::new(command),
                    rule: None,
                    subcommands: Vec::new(),
                });
                self.index_last();
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[place];
        match subcommand.map(Name::new) {
            None => entry.rule = Some(rule),
            Some(name) => {
                entry.subcommands.retain(|(other, _)| *other != name);
                entry.subcommands.push((name, rule));
            }
        }
    }

    /// Brings the last entry into the index, which grows where it must.
    fn index_last(&mut self) {
        if self.entries.len() * 4 <= self.index.len() {
            self.index_entry(self.entries.len() - 1);
            return;
        }
        self.index = vec![0; (self.entries.len() * 8).next_power_of_two()];
        for place in 0..self.entries.len() {
            self.index_entry(place);
        }
    }

    fn index_entry(&mut self, place: usize) {
        let Name::Short(words) = &self.entries[place].name else { return };
        let mut at = slot(words, self.index.len());
        while self.index[at] != 0 {
            at = (at + 1) & (self.index.len() - 1);
        }
        self.index[at] = place as u32 + 1;
    }

    /// The entry of this name, and its place.
    #[inline]
    fn find(&self, name: &[u8]) -> Option<(usize, &Entry)> {
        let Some(words) = pack(name) else {
            let name = Name::new(name);
            return self.entries.iter().enumerate().find(|(_, entry)| entry.name == name);
        };
        if self.index.is_empty() {
            return None;
        }
        let mut at = slot(&words, self.index.len());
        loop {
            let place = (self.index[at] as usize).checked_sub(1)?;
            let entry = &self.entries[place];
            if entry.name == Name::Short(words) {
                return Some((place, entry));
            }
            at = (at + 1) & (self.index.len() - 1);
        }
    }
}

#[inline]
fn slot(words: &[u64; SHORT / 8], length: usize) -> usize {
    let mixed = words[0] ^ words[1].rotate_left(25) ^ words[2].rotate_left(47);
    let product = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (product >> 32) as usize & (length - 1)
}

/// `CONTAINER SUBCOMMAND` in its two parts.
fn split(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    match name.iter().position(|&byte| byte == b' ') {
        Some(space) => (&name[..space], Some(&name[space + 1..])),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Gather;
    use crate::command::KeySpec;

    fn rule<'t>(
        table: &'t CommandTable,
        name: &str,
        argument: Option<&str>,
    ) -> Option<&'t CommandRule> {
        match table.find(name.as_bytes(), || argument.map(str::as_bytes)) {
            Found::Rule(rule) => Some(rule),
            Found::Unknown => None,
        }
    }

    #[test]
    fn names_are_found_in_either_case() {
        let table = CommandTable::new();
        assert_eq!(rule(&table, "gEt", None), table.rule("GET"));
        assert!(table.rule("GET").is_some());
        assert!(rule(&table, "GET", None).unwrap().is_read_only());
    }

    #[test]
    fn unknown_names_have_their_key_first_or_are_refused() {
        let table = CommandTable::new();
        assert_eq!(rule(&table, "NOSUCH", Some("k")), Some(&CommandRule::key(1)));
        assert_eq!(rule(&table.strict(), "NOSUCH", Some("k")), None);
    }

    #[test]
    fn rules_are_added_and_replaced_and_the_built_in_table_stays() {
        let all = CommandRule::all_nodes(Gather::Sum);
        let long = "A.VERY.LONG.MODULE.COMMAND.NAME";
        let table = CommandTable::new()
            .strict()
            .with("My.Count", all)
            .with("GET", all)
            .with(long, all)
            .with("BOX", CommandRule::no_key())
            .with("box open", CommandRule::keys(KeySpec::at(2)));
        for name in ["MY.COUNT", "get", &long.to_lowercase()] {
            assert_eq!(rule(&table, name, None), Some(&all), "{name}");
        }
        assert_eq!(rule(&table, "BOX", Some("OPEN")), Some(&CommandRule::key(2)));
        assert_eq!(rule(&table, "BOX", Some("shut")), Some(&CommandRule::no_key()));
        assert_eq!(table.rule("Box Open"), Some(&CommandRule::key(2)));
        assert!(table.names().any(|name| name == "BOX OPEN"));
        assert!(CommandTable::new().rule("GET").unwrap().is_read_only());
        assert!(CommandTable::new().rule("MY.COUNT").is_none());
    }

    #[test]
    fn every_row_is_found_however_many_are_added() {
        let mut table = CommandTable::new();
        let built_in: Vec<_> = table.names().collect();
        for number in 0..1000 {
            table = table.with(&format!("MY.{number}"), CommandRule::no_key());
        }
        assert_eq!(table.names().count(), built_in.len() + 1000);
        for name in built_in {
            assert!(table.rule(&name).is_some(), "{name}");
            assert_eq!(table.rule(&name), CommandTable::new().rule(&name), "{name}");
        }
        assert_eq!(table.rule("my.999"), Some(&CommandRule::no_key()));
        assert_eq!(table.rule("MY.1000"), None);
    }

    #[test]
    fn the_places_of_keys_can_be_asked_for() {
        let table = CommandTable::new();
        let places = |line: &str| table.key_places(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(places("del a b"), Some(vec![1, 2]));
        assert_eq!(places("xinfo stream a"), Some(vec![2]));
        assert_eq!(places("SORT a BY w_* STORE b"), Some(vec![1, 5]));
        assert_eq!(places("PUBLISH channel x"), Some(vec![]));
        assert_eq!(places("FLUSHALL"), Some(vec![]));
        assert_eq!(places("ZUNION many a b"), None);
        assert_eq!(places("NOSUCH a b"), Some(vec![1]));
        assert_eq!(table.strict().key_places(&["NOSUCH", "a"]), None);
        assert_eq!(CommandTable::new().key_places(&[] as &[&str]), None);
    }

    #[test]
    fn every_command_has_a_number_and_subcommands_have_their_containers() {
        let table =
            CommandTable::new().with("My.Long.Name.Of.A.Module.Command", CommandRule::key(1));
        let index = |name: &str, argument: &'static str| {
            table.find_indexed(name.as_bytes(), || Some(argument.as_bytes())).1
        };
        let mut numbers: Vec<_> = table.names().map(|name| index(&name, "")).collect();
        numbers.retain(|&number| number != table.index_count() - 1);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (0..table.index_count() - 1).collect::<Vec<_>>());
        for (name, argument) in [("get", "k"), ("config", "set"), ("config", "nosuch")] {
            assert_eq!(table.name_of(index(name, argument)), name);
        }
        let long = index("MY.LONG.NAME.OF.A.MODULE.COMMAND", "k");
        assert_eq!(table.name_of(long), "my.long.name.of.a.module.command");
        assert_eq!(index("NOSUCH", "k"), table.index_count() - 1);
        assert_eq!(table.name_of(index("NOSUCH", "k")), "unknown");
        assert_eq!(
            table.strict().find_indexed(b"NOSUCH", || None).1,
            CommandTable::new().index_count()
        );
    }

    #[test]
    fn an_empty_name_is_unknown() {
        assert_eq!(rule(&CommandTable::new().strict(), "", None), None);
    }
}
