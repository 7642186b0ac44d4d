//! YAML as nutcracker reads it: libyaml's grammar, less the tokens it disallows.
//!
//! nutcracker 0.5.0 goes over the file three times (`nc_conf.c` `conf_pre_validate`): it loads all
//! documents, then scans all tokens, then looks at depths. Which fault of several it reports follows
//! from that, so the first two are done here in this order and the third in `structure`.

use std::borrow::Cow;
use std::collections::HashSet;

use libyaml_safer::Encoding;
use libyaml_safer::ErrorKind;
use libyaml_safer::EventData;
use libyaml_safer::Parser;
use libyaml_safer::ScalarStyle;
use libyaml_safer::Scanner;
use libyaml_safer::TokenData;

use super::complaint::Complaint;
use super::complaint::Position;

/// A piece of the one document, and where it begins. It has no `Debug`: it may be a password.
pub(super) struct Event {
    pub(super) kind: EventKind,
    pub(super) at: Position,
}

pub(super) enum EventKind {
    MappingStart,
    MappingEnd,
    SequenceStart,
    SequenceEnd,
    Scalar(Scalar),
}

/// A text in the file.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) at: Position,
    /// Why it can be neither a name nor a value. Whoever comes to use it complains, so that a fault
    /// further up in the file is reported first.
    pub(super) fault: Option<&'static str>,
}

/// The events of the one document in `text`, which holds no disallowed token.
pub(super) fn events(text: &str) -> Result<Vec<Event>, Complaint> {
    if let Some(offset) = text.find(|character| !is_allowed(character)) {
        let reason = failure(ErrorKind::Reader, "control characters are not allowed");
        return Err(Complaint::new(Position::of(text, offset), reason));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = with_line_break(text);
    let substitute = with_letters_behind_tags(&lines).filter(|it| may_have_flow_collection(it));
    let lines = substitute.as_deref().unwrap_or(&lines);
    let events = load(lines, text.len() as u64)?;
    scan(lines)?;
    Ok(events)
}

/// The first pass: `conf_validate_document`. `length` is that of the text without what was added.
fn load(text: &str, length: u64) -> Result<Vec<Event>, Complaint> {
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input(text.as_bytes());
    let mut events = Vec::new();
    let mut anchors = HashSet::new();
    let mut documents = 0;
    let end = loop {
        let event = parser.parse().map_err(|error| yaml_complaint(&error))?;
        let at = Position::from(event.start_mark);
        let (kind, anchor) = match event.data {
            EventData::StreamStart { .. } | EventData::DocumentEnd { .. } => continue,
            EventData::StreamEnd => break at,
            EventData::DocumentStart { .. } => {
                documents += 1;
                anchors.clear();
                continue;
            }
            EventData::Alias { anchor } if !anchors.contains(&anchor) => {
                let reason = failure(ErrorKind::Composer, "found undefined alias");
                return Err(Complaint::new(at, reason));
            }
            // Its anchor is refused in the second pass.
            EventData::Alias { .. } => continue,
            EventData::SequenceEnd => (EventKind::SequenceEnd, None),
            EventData::SequenceStart { anchor, .. } => (EventKind::SequenceStart, anchor),
            EventData::MappingEnd => (EventKind::MappingEnd, None),
            EventData::MappingStart { anchor, .. } => (EventKind::MappingStart, anchor),
            EventData::Scalar { value, anchor, style, .. } => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_cut = is_block && event.end_mark.index > length;
                let scalar = Scalar { fault: fault(&value, is_cut), text: value, at };
                (EventKind::Scalar(scalar), anchor)
            }
        };
        if let Some(anchor) = anchor
            && !anchors.insert(anchor)
        {
            let reason = failure(ErrorKind::Composer, "found duplicate anchor");
            return Err(Complaint::new(at, reason));
        }
        events.push(Event { kind, at });
    };
    if documents != 1 {
        let reason = format!("must contain only 1 document; found {documents} documents");
        return Err(Complaint::new(end, reason));
    }
    Ok(events)
}

/// The second pass: `conf_validate_tokens`, with libyaml's numbers.
///
/// Of the tokens it disallows, aliases and the ends of flow collections are missing here: an anchor
/// or a beginning has come before them.
fn scan(text: &str) -> Result<(), Complaint> {
    let mut scanner = Scanner::new();
    scanner.set_encoding(Encoding::Utf8);
    scanner.set_input(text.as_bytes());
    for token in scanner {
        let token = token.map_err(|error| yaml_complaint(&error))?;
        let (name, number) = match token.data {
            TokenData::VersionDirective { .. } => ("version directive", 3),
            TokenData::TagDirective { .. } => ("tag directive", 4),
            TokenData::DocumentStart => ("document start", 5),
            TokenData::DocumentEnd => ("document end", 6),
            TokenData::FlowSequenceStart => ("flow sequence start", 10),
            TokenData::FlowMappingStart => ("flow mapping start", 12),
            TokenData::Anchor { .. } => ("anchor", 19),
            TokenData::Tag { .. } => ("tag", 20),
            _ => continue,
        };
        let reason = format!("{name} token ({number}) is disallowed");
        return Err(Complaint::new(token.start_mark, reason));
    }
    Ok(())
}

fn yaml_complaint(error: &libyaml_safer::Error) -> Complaint {
    let at = error.problem_mark().unwrap_or_default();
    Complaint::new(at, failure(error.kind(), error.problem()))
}

/// nutcracker's words for a failure of libyaml, and libyaml's behind them.
fn failure(kind: ErrorKind, problem: &str) -> String {
    let number = match kind {
        ErrorKind::Reader => 2,
        ErrorKind::Scanner => 3,
        ErrorKind::Parser => 4,
        ErrorKind::Composer => 5,
        // Neither occurs: nothing is emitted, and text in memory can be read.
        ErrorKind::Emitter => 7,
        ErrorKind::Io => 2,
    };
    format!("failed (err {number}) to get the next yaml document: {problem}")
}

fn fault(text: &str, is_cut: bool) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.contains('\0') {
        // nutcracker would go on with what is before it.
        Some("contains a NUL character")
    } else if is_cut {
        Some("is a block scalar without a line break at its end")
    } else {
        None
    }
}

/// Whether libyaml's reader lets the character pass (`reader.c` `yaml_parser_update_buffer`).
fn is_allowed(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// `text` with a line break at its end.
///
/// libyaml-safer 0.3.0 panics where a file ends inside a block scalar or behind a backslash. The line
/// break changes nothing but the end of a block scalar, and that is a [`fault`] then.
fn with_line_break(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text}\n"))
    }
}

/// `text` with a letter for each comma that may stand behind a tag, if there is one.
///
/// libyaml-safer 0.3.0 panics at such a comma (`[!a,b]`), which only a flow collection may have.
/// Outside of one a comma is to the scanner what a letter is, or an error. So up to the first flow
/// collection the substitute is as good or bad as `text`: if it has none, `text` does no harm.
/// If it has one, `text` has it too and may be refused in place of it, though perhaps for another
/// reason than nutcracker's.
fn with_letters_behind_tags(text: &str) -> Option<String> {
    let mut is_behind_tag = false;
    let mut has_comma = false;
    let substitute = text.chars().map(|character| {
        is_behind_tag = character == '!' || is_behind_tag && !character.is_whitespace();
        let is_comma = character == ',' && is_behind_tag;
        has_comma |= is_comma;
        if is_comma { 'x' } else { character }
    });
    let substitute = substitute.collect();
    has_comma.then_some(substitute)
}

fn may_have_flow_collection(text: &str) -> bool {
    let mut scanner = Scanner::new();
    scanner.set_encoding(Encoding::Utf8);
    scanner.set_input(text.as_bytes());
    scanner.into_iter().any(|token| match token {
        Ok(token) => {
            matches!(token.data, TokenData::FlowSequenceStart | TokenData::FlowMappingStart)
        }
        // There may be tokens in front of it that the scanner has not yet handed out.
        Err(_) => true,
    })
}
