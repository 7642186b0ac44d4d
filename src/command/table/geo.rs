//! Geo.

use super::*;
use crate::command::rule::Finder;

/// `GEORADIUS`, whose options begin at argument `options`.
const fn radius(options: u8) -> CommandRule {
    WRITE
        .and_keys(KeySpec::after("STORE", options))
        .and_keys(KeySpec::after("STOREDIST", options))
        .found_by(Finder::GeoRadius { options })
}

pub(super) const ROWS: &[Row] = &[
    ("GEOADD", WRITE),
    ("GEODIST", READ),
    ("GEOHASH", READ),
    ("GEOPOS", READ),
    ("GEORADIUS", radius(6)),
    ("GEORADIUSBYMEMBER", radius(5)),
    ("GEORADIUSBYMEMBER_RO", READ),
    ("GEORADIUS_RO", READ),
    ("GEOSEARCH", READ),
    ("GEOSEARCHSTORE", WRITE_TWO),
];
