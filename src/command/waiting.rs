//! How long the server may wait before it answers.

use std::time::Duration;

use super::rule::Blocking;
use super::rule::CommandRule;

/// How long the server may wait before it answers an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It answers at once, be it that the arguments are wrong.
    None,
    For(Duration),
    ForEver,
}

impl CommandRule {
    /// How long the server may wait before it answers the invocation `args`.
    pub(crate) fn waiting(&self, args: &[&[u8]]) -> Waiting {
        let (argument, unit) = match self.blocking {
            Blocking::No => return Waiting::None,
            Blocking::LastSeconds => (args.last(), 1.0),
            Blocking::Seconds(place) => (args.get(usize::from(place)), 1.0),
            Blocking::Milliseconds(place) => (args.get(usize::from(place)), 0.001),
            Blocking::MillisecondsAfter(word) => {
                let is_word = |arg: &&[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
                let place = args.iter().position(is_word).map(|place| place + 1);
                (place.and_then(|place| args.get(place)), 0.001)
            }
        };
        let number = argument.and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
        match number.map(|number| number * unit) {
            Some(0.0) => Waiting::ForEver,
            Some(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(time) => Waiting::For(time),
                Err(_) if seconds > 0.0 => Waiting::ForEver,
                Err(_) => Waiting::None,
            },
            None => Waiting::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stands_where_the_rule_says() {
        let waiting = |blocking, line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            CommandRule::key(1).blocking(blocking).waiting(&args)
        };
        let seconds = |seconds| Waiting::For(Duration::from_secs_f64(seconds));
        assert_eq!(waiting(Blocking::No, "GET 5"), Waiting::None);
        assert_eq!(waiting(Blocking::LastSeconds, "BLPOP a b 1.5"), seconds(1.5));
        assert_eq!(waiting(Blocking::LastSeconds, "BLPOP a b 0"), Waiting::ForEver);
        assert_eq!(waiting(Blocking::LastSeconds, "BLPOP a b -1"), Waiting::None);
        assert_eq!(waiting(Blocking::LastSeconds, "BLPOP a b soon"), Waiting::None);
        assert_eq!(waiting(Blocking::LastSeconds, "BLPOP a b 1e99"), Waiting::ForEver);
        assert_eq!(waiting(Blocking::Seconds(1), "BLMPOP 2 1 a LEFT"), seconds(2.0));
        assert_eq!(waiting(Blocking::Milliseconds(2), "WAIT 1 250"), seconds(0.25));
        let xread = Blocking::MillisecondsAfter("BLOCK");
        assert_eq!(waiting(xread, "XREAD block 100 STREAMS a $"), seconds(0.1));
        assert_eq!(waiting(xread, "XREAD STREAMS a $"), Waiting::None);
    }
}
