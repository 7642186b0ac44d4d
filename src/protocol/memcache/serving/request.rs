//! A request of a client's, and what of it is sent on.

use super::super::key::MAX_LENGTH;
use super::Meta;
use super::Retrieve;
use super::RetrieveName;
use super::meta::write_loud;
use super::search::has_control;
use super::store;
use super::store::Refused;
use super::words::Words;
use super::words::first_words;

/// With its end. Memcached closes a connection whose line is longer before its end has come, unless it begins
/// with `get` or `gets` (1.6.18 `proto_text.c` `try_read_command_ascii`).
pub(super) const MAX_SENT_LINE: usize = 2048;

/// A request of a client's.
#[derive(Clone, Debug)]
pub(crate) struct Request<'b> {
    pub(crate) command: Command<'b>,
    /// Whether it has no reply (`noreply`). The node replies all the same, and the reply, even if it is
    /// an error, is dropped.
    pub(crate) is_silent: bool,
    /// How long it is, with its value.
    pub(crate) length: usize,
    /// How long its line is. What follows is the value and a line end.
    pub(crate) line_length: usize,
    sent: Sent<'b>,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Command<'b> {
    /// `get`, `gets`, `gat`, `gats`.
    Retrieve(Retrieve<'b>),
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`: a key, and a value.
    Store {
        key: &'b [u8],
    },
    /// `delete`, `incr`, `decr`, `touch`: a key.
    Single {
        key: &'b [u8],
    },
    /// `mg`, `ms`, `md`, `ma`, `me`.
    Meta(Meta<'b>),
    /// `mn`.
    MetaNoop,
    Version,
    Quit,
    Verbosity,
    FlushAll,
    /// And what follows the word.
    Stats(&'b [u8]),
}

/// What is sent on for the line of a request.
#[derive(Clone, Copy, Debug)]
enum Sent<'b> {
    /// The line as it came.
    Verbatim,
    /// This, and a line end.
    Text(&'b [u8]),
    /// This without the flags that hide replies, and a line end.
    Loud(&'b [u8]),
}

/// Why a request is refused. The connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such command, or it has another number of words.
    Unknown,
    /// A key is too long, there is a control character, or a word is no number.
    Format,
    Expiration,
    Base64,
    Flags,
    /// The value does not end where it should.
    DataChunk,
    TooLarge,
    LineTooLong,
}

impl Refusal {
    /// What the client is told: memcached's own texts (1.6.18).
    pub(crate) fn line(self) -> &'static [u8] {
        match self {
            Self::Unknown => b"ERROR\r\n",
            Self::Format => b"CLIENT_ERROR bad command line format\r\n",
            Self::Expiration => b"CLIENT_ERROR invalid exptime argument\r\n",
            Self::Base64 => b"CLIENT_ERROR error decoding key\r\n",
            Self::Flags => b"CLIENT_ERROR options flags are too long\r\n",
            Self::DataChunk => b"CLIENT_ERROR bad data chunk\r\n",
            Self::TooLarge => b"SERVER_ERROR object too large for cache\r\n",
            Self::LineTooLong => b"CLIENT_ERROR line too long\r\n",
        }
    }
}

impl<'b> Request<'b> {
    /// A request with nothing odd about it, that is sent on as it came: a line of this length with its end,
    /// and `behind` bytes.
    #[inline]
    pub(super) fn verbatim(command: Command<'b>, line_length: usize, behind: usize) -> Self {
        let length = line_length + behind;
        Self { command, is_silent: false, length, line_length, sent: Sent::Verbatim }
    }

    /// Reads the line at the start of `bytes`, whose line feed is at `end`.
    #[inline]
    pub(super) fn read(bytes: &'b [u8], end: usize) -> Result<Self, RefusedLine> {
        let line = &bytes[..end];
        let (line, has_return) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        // Memcached takes a bare LF, and spaces before the name. Servers of its kind may not.
        let is_plain = has_return && line.first() != Some(&b' ');
        let (read, form) = read_words(line);
        let (command, value) = match read {
            Ok((_, value)) if has_control(line) => Err((Refusal::Format, value)),
            Ok((_, value)) if line.len() > MAX_SENT_LINE - 2 && form != Form::Long => {
                Err((Refusal::LineTooLong, value))
            }
            read => read,
        }
        .map_err(|(refusal, value)| RefusedLine {
            refusal,
            // Who has written too many words is told so all the same.
            is_silent: refusal != Refusal::Unknown && form.silent(line).is_some(),
            length: length(end + 1, value),
        })?;
        let loud = form.silent(line);
        let sent = match (&command, loud) {
            (_, Some(text)) => Sent::Text(text),
            (Command::Meta(Meta { quiet: Some(_), .. }), None) => Sent::Loud(line),
            _ if is_plain => Sent::Verbatim,
            _ => Sent::Text(line),
        };
        let length = length(end + 1, value);
        Ok(Self { command, is_silent: loud.is_some(), length, line_length: end + 1, sent })
    }

    /// Whether the node is sent what the client has sent.
    pub(crate) fn is_verbatim(&self) -> bool {
        matches!(self.sent, Sent::Verbatim)
    }

    /// Appends what the node is sent: a request that has exactly one reply. `bytes` is this request.
    pub(crate) fn write_forward(&self, bytes: &[u8], out: &mut Vec<u8>) {
        self.write_line(bytes, out);
        out.extend_from_slice(&bytes[self.line_length..self.length]);
    }

    /// Appends the line that the node is sent; if there is a value, that and its line end follow as they
    /// are. `bytes` begins with the line that was read.
    pub(crate) fn write_line(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.sent {
            Sent::Verbatim => return out.extend_from_slice(&bytes[..self.line_length]),
            Sent::Text(text) => out.extend_from_slice(text.trim_ascii()),
            Sent::Loud(text) => write_loud(text, out),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The line of a request that is refused.
pub(super) struct RefusedLine {
    pub(super) refusal: Refusal,
    pub(super) is_silent: bool,
    /// Of the request, with its value.
    pub(super) length: usize,
}

/// A command, and how long the value is that follows its line, if one does.
type Read<'b> = Result<(Command<'b>, Option<u64>), Refused>;

/// What a line may have, apart from what its command says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// It is a long line of keys.
    Long,
    /// `noreply` at its end, behind so many words.
    Silent(usize),
}

impl Form {
    /// What stands before `noreply`.
    fn silent(self, line: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Silent(least) => without_noreply(line, least),
            _ => None,
        }
    }
}

/// Reads a command from its line.
#[inline]
fn read_words(line: &[u8]) -> (Read<'_>, Form) {
    let mut words = Words::new(line);
    match words.next().unwrap_or_default() {
        b"get" => (retrieve(RetrieveName::Get, words), Form::Long),
        b"gets" => (retrieve(RetrieveName::Gets, words), Form::Long),
        b"gat" => (retrieve(RetrieveName::Gat, words), Form::Plain),
        b"gats" => (retrieve(RetrieveName::Gats, words), Form::Plain),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" => {
            (store(words, false), Form::Silent(2))
        }
        b"cas" => (store(words, true), Form::Silent(2)),
        b"delete" => (single(words, 1), Form::Silent(2)),
        b"incr" | b"decr" | b"touch" => (single(words, 2), Form::Silent(2)),
        name @ (b"mg" | b"ms" | b"md" | b"ma" | b"me") => {
            let read = Meta::read([name[0], name[1]], words);
            (read.map(|(meta, value)| (Command::Meta(meta), value)), Form::Plain)
        }
        b"mn" => (Ok((Command::MetaNoop, None)), Form::Plain),
        b"version" => (Ok((Command::Version, None)), Form::Plain),
        b"quit" => (Ok((Command::Quit, None)), Form::Plain),
        b"verbosity" => (node_wide(Command::Verbosity, words, 1, 3), Form::Silent(1)),
        b"flush_all" => (node_wide(Command::FlushAll, words, 0, 2), Form::Silent(1)),
        b"stats" => (Ok((Command::Stats(words.rest().trim_ascii()), None)), Form::Plain),
        _ => (Err((Refusal::Unknown, None)), Form::Plain),
    }
}

#[inline]
fn retrieve<'b>(name: RetrieveName, words: Words<'b>) -> Read<'b> {
    match Retrieve::read(name, words) {
        Ok(retrieve) => Ok((Command::Retrieve(retrieve), None)),
        Err(refusal) => Err((refusal, None)),
    }
}

fn store(words: Words<'_>, is_cas: bool) -> Read<'_> {
    let (key, length) = store::read(words, is_cas)?;
    Ok((Command::Store { key }, Some(length)))
}

/// Reads a key and at least `least` words with it, and at most three. What they say the node looks at: it
/// replies with one line, whatever that is.
fn single(words: Words<'_>, least: usize) -> Read<'_> {
    let ([key, behind @ ..], count) = first_words(words);
    match count {
        _ if count < least || count > 3 => Err((Refusal::Unknown, None)),
        _ if key.len() > MAX_LENGTH || all_say_noreply(&behind[..least - 1]) => {
            Err((Refusal::Format, None))
        }
        _ => Ok((Command::Single { key }, None)),
    }
}

fn node_wide<'b>(command: Command<'b>, words: Words<'b>, least: usize, most: usize) -> Read<'b> {
    let (first, count) = first_words(words);
    match count {
        _ if count < least || count > most => Err((Refusal::Unknown, None)),
        _ if all_say_noreply(&first[..least]) => Err((Refusal::Format, None)),
        _ => Ok((command, None)),
    }
}

/// Whether there are `needed` words and each is one that is left out of what is sent on.
fn all_say_noreply(needed: &[&[u8]]) -> bool {
    !needed.is_empty() && needed.iter().all(|word| *word == b"noreply")
}

/// What stands before `noreply`, if `line` ends with that and at least `least` words stand before it. It may
/// be there more than once: memcached looks at the last word only.
fn without_noreply(line: &[u8], least: usize) -> Option<&[u8]> {
    let mut rest = line;
    let mut found = None;
    while let Some(text) = rest.trim_ascii_end().strip_suffix(b" noreply")
        && Words::new(text).take(least).count() == least
    {
        rest = text;
        found = Some(text);
    }
    found
}

/// How long a request is with a line of `line` bytes, and perhaps a `value` and a line end.
fn length(line: usize, value: Option<u64>) -> usize {
    let value = value.map_or(0, |value| value.saturating_add(2));
    line.saturating_add(usize::try_from(value).unwrap_or(usize::MAX))
}
