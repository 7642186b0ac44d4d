//! The depths of a configuration: a mapping of pools, each a mapping of scalars and of one list.

use super::complaint::Complaint;
use super::yaml::Event;
use super::yaml::EventKind;

/// Depth inside of the mapping of pools.
const ROOT_DEPTH: usize = 1;
/// Depth inside of a pool.
const MAX_DEPTH: usize = 2;

/// The third pass over the file: nutcracker 0.5.0 `nc_conf.c` `conf_validate_structure`, decision
/// for decision. It says of nothing whether it makes sense: a pool may list its `timeout` and hold
/// its `servers` in a scalar.
pub(super) fn check(events: &[Event]) -> Result<(), Complaint> {
    let mut depth = 0;
    let mut has_list = false;
    // Scalars seen at each depth since the last whole `key: value`.
    let mut count = [0; MAX_DEPTH + 1];
    let mut pool = None;
    let mut key = None;
    for event in events {
        let complain = |reason: String| Err(Complaint::new(event.at, reason));
        match &event.kind {
            EventKind::MappingStart => {
                if depth == ROOT_DEPTH && count[depth] != 1 {
                    return complain(format!("has more than one \"key:value\" at depth {depth}"));
                }
                if depth >= MAX_DEPTH {
                    return complain(format!("has a depth greater than {MAX_DEPTH}"));
                }
                depth += 1;
            }
            EventKind::MappingEnd => {
                if depth == MAX_DEPTH && !has_list {
                    let at = pool.unwrap_or(event.at);
                    let reason = format!("missing sequence directive at depth {depth}");
                    return Err(Complaint::new(at, reason));
                }
                has_list = false;
                depth -= 1;
                count[depth] = 0;
            }
            EventKind::SequenceStart => {
                if has_list && key == Some("sentinels") {
                    return complain("directive \"sentinels\" is not supported yet".into());
                }
                if has_list {
                    return complain("has more than one sequence directive".into());
                }
                if depth != MAX_DEPTH {
                    let reason = format!("has sequence at depth {depth} instead of {MAX_DEPTH}");
                    return complain(reason);
                }
                if count[depth] != 1 {
                    return complain(format!("has invalid \"key:value\" at depth {depth}"));
                }
                has_list = true;
            }
            EventKind::SequenceEnd => count[depth] = 0,
            EventKind::Scalar(scalar) => {
                if depth == 0 {
                    return complain(format!("has invalid empty \"key:\" at depth {depth}"));
                }
                if depth == ROOT_DEPTH {
                    if count[depth] != 0 {
                        return complain(format!("has invalid mapping \"key:\" at depth {depth}"));
                    }
                    pool = Some(event.at);
                }
                if depth == MAX_DEPTH && count[depth] == 2 {
                    count[depth] = 0;
                }
                count[depth] += 1;
                key = Some(scalar.text.as_str());
            }
        }
    }
    Ok(())
}
