//! Lists: items with commas between them.

use super::Reason;

/// Reads each item of `text` with `parse`.
pub(super) fn parse<T>(
    text: &str,
    has_scheme: impl Fn(&str) -> bool,
    mut parse: impl FnMut(&str) -> Result<T, Reason>,
) -> Result<Vec<T>, Reason> {
    let items: Vec<_> = text.split(',').map(str::trim).collect();
    let read = items.iter().enumerate().map(|(place, item)| {
        parse(item).map_err(|reason| {
            let reason = if is_perhaps_secret(&items, place, &has_scheme) {
                "it is not the URL of a node; a comma in a password is written %2C"
            } else {
                &reason
            };
            format!("node {} of the URL: {reason}", place + 1)
        })
    });
    read.collect()
}

/// Whether a comma before or behind the item may belong to a password: then the item is perhaps a
/// part of it and must not be shown. A scheme ends the doubt.
fn is_perhaps_secret(items: &[&str], place: usize, has_scheme: impl Fn(&str) -> bool) -> bool {
    let mut later = items[place + 1..].iter().take_while(|item| !has_scheme(item));
    let begin = (0..=place).rfind(|&place| has_scheme(items[place])).unwrap_or(0);
    later.any(|item| item.contains('@'))
        || items[begin..place].iter().any(|item| item.contains("pass"))
}

/// Refuses what stands behind a comma and has a user name alone: it is perhaps the end of a password.
pub(super) fn refuse_half_user(item: &str) -> Result<(), Reason> {
    if item.split_once('@').is_some_and(|(user, _)| !user.contains(':')) {
        return Err("it has a user name without a password; \
                    a comma in a password is written %2C"
            .into());
    }
    Ok(())
}
