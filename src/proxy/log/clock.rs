//! The time of day in front of a line: that of the system's zone, as nutcracker has it.
//!
//! The zone is read once, from `TZ` or else from `/etc/localtime`. A zone that cannot be read is UTC.

use std::sync::OnceLock;
use std::time::SystemTime;

use tz::TimeZone;

/// `None` is UTC.
#[derive(Debug)]
struct Zone(Option<TimeZone>);

static ZONE: OnceLock<Zone> = OnceLock::new();

/// `YYYY-MM-DD HH:MM:SS.mmm`.
pub(super) fn stamp(now: SystemTime) -> String {
    ZONE.get_or_init(Zone::of_system).stamp(now)
}

impl Zone {
    fn of_system() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) => TimeZone::from_posix_tz(&name),
            Err(_) => TimeZone::local(),
        };
        Self(zone.ok())
    }

    fn stamp(&self, now: SystemTime) -> String {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or_default();
        let seconds = seconds.saturating_add(self.offset(seconds));
        let (year, month, day) = date(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let milliseconds = now.subsec_millis();
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
    }

    /// How many seconds local clocks are ahead at this time.
    fn offset(&self, seconds: i64) -> i64 {
        let zone = self.0.as_ref().and_then(|zone| zone.find_local_time_type(seconds).ok());
        zone.map_or(0, |zone| zone.ut_offset().into())
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from March, so that a leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(zone: &str, milliseconds: u64) -> String {
        let zone = Zone(TimeZone::from_posix_tz(zone).ok());
        zone.stamp(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_time_is_written_as_clocks_show_it() {
        for (zone, milliseconds, text) in [
            ("UTC0", 0, "1970-01-01 00:00:00.000"),
            ("UTC0", 951_827_696_007, "2000-02-29 12:34:56.007"),
            ("UTC0", 4_102_444_799_999, "2099-12-31 23:59:59.999"),
            ("EST5", 0, "1969-12-31 19:00:00.000"),
            ("IST-5:30", 951_827_696_007, "2000-02-29 18:04:56.007"),
            // Summer time begins.
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_745_999_000, "2026-03-29 01:59:59.000"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000_000, "2026-03-29 03:00:00.000"),
        ] {
            assert_eq!(at(zone, milliseconds), text, "{zone}");
        }
    }

    #[test]
    fn a_zone_that_is_none_is_utc() {
        assert_eq!(at("what is this", 0), "1970-01-01 00:00:00.000");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date(days), (year, month, day));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
