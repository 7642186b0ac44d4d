//! How long the server may wait before it answers.

use std::time::Duration;

use super::options::stream_block;
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
            Blocking::TransferMilliseconds(place) => (args.get(usize::from(place)), 0.001),
            Blocking::StreamBlock => (stream_block(args), 0.001),
        };
        let number = argument.and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
        match number.map(|number| number * unit) {
            Some(..=0.0) if matches!(self.blocking, Blocking::TransferMilliseconds(_)) => {
                Waiting::For(Duration::from_secs(1))
            }
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
        let migrate = Blocking::TransferMilliseconds(5);
        assert_eq!(waiting(migrate, "MIGRATE h 1 k 0 250"), seconds(0.25));
        assert_eq!(waiting(migrate, "MIGRATE h 1 k 0 0"), seconds(1.0));
        assert_eq!(waiting(migrate, "MIGRATE h 1 k 0 -5"), seconds(1.0));
    }

    #[test]
    fn only_the_option_block_blocks() {
        let waiting = |line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            CommandRule::key(1).blocking(Blocking::StreamBlock).waiting(&args)
        };
        let milliseconds = |count| Waiting::For(Duration::from_millis(count));
        assert_eq!(waiting("XREAD block 100 STREAMS a $"), milliseconds(100));
        assert_eq!(waiting("XREAD COUNT 2 BLOCK 0 STREAMS a $"), Waiting::ForEver);
        assert_eq!(waiting("XREAD BLOCK 5 BLOCK 100 STREAMS a $"), milliseconds(100));
        assert_eq!(waiting("XREAD STREAMS a $"), Waiting::None);
        assert_eq!(waiting("XREAD STREAMS block 0"), Waiting::None);
        assert_eq!(waiting("XREAD BLOCK"), Waiting::None);
        assert_eq!(waiting("XREADGROUP GROUP block 0 STREAMS s >"), Waiting::None);
        assert_eq!(waiting("XREADGROUP GROUP BLOCK 5 BLOCK 100 STREAMS s >"), milliseconds(100));
    }
}
