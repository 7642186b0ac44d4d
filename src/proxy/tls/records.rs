//! Where requests to a memcached are cut into records.

use crate::protocol::memcache::serving::Arrival;
use crate::protocol::memcache::serving::RequestScanner;

/// What a record holds at the most.
pub(super) const RECORD: usize = 16 << 10;

/// Cuts requests into records as memcached needs them.
///
/// memcached 1.6.18 forgets what its TLS library holds: when it has read the rest of a value out of a record, or as
/// much as its buffer of 16 KiB has room for, it waits for the socket before it reads on, though the next request has
/// arrived in the same record. So a record has whole requests, or some of one.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// What is missing of a request whose beginning has gone.
    left: usize,
}

impl Records {
    /// How much of `bytes` goes into the next record. They go on where the last record has ended, and end where a
    /// request does.
    pub(super) fn next(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let count = self.left.min(RECORD).min(bytes.len());
            self.left -= count;
            return count;
        }
        let mut end = 0;
        while end < bytes.len() {
            let length = request(&bytes[end..]);
            if end + length <= RECORD {
                end += length;
                continue;
            }
            if end == 0 {
                end = RECORD.min(bytes.len());
                self.left = length - end;
            }
            break;
        }
        end.min(bytes.len())
    }
}

/// The length of the request at the start of `bytes`.
fn request(bytes: &[u8]) -> usize {
    match RequestScanner::default().read(bytes) {
        Ok(Arrival::Whole(request) | Arrival::Begun(request)) => request.length,
        Ok(Arrival::Refused { length, .. }) => length,
        // The core sends whole requests, and none that it would not take.
        Ok(Arrival::Missing(_)) | Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(length: usize) -> Vec<u8> {
        let mut request = format!("set key 0 0 {length}\r\n").into_bytes();
        request.resize(request.len() + length, b'\n');
        request.extend_from_slice(b"\r\n");
        request
    }

    fn cut(bytes: &[u8]) -> Vec<usize> {
        let mut records = Records::default();
        let (mut cut, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            cut.push(records.next(&bytes[start..]));
            start += cut[cut.len() - 1];
        }
        cut
    }

    #[test]
    fn small_requests_go_together_and_large_ones_alone() {
        let get = b"get a\r\n".to_vec();
        assert_eq!(cut(&[get.clone(), get.clone()].concat()), [14]);
        let large = set(RECORD);
        let rest = large.len() - RECORD;
        assert_eq!(cut(&[&get[..], &large, &get, &get].concat()), [7, RECORD, rest, 14]);
        let keys = [b"get".to_vec(), b" key".repeat(9000), b"\r\n".to_vec()].concat();
        assert_eq!(cut(&[keys, get].concat()), [RECORD, RECORD, 36_005 - 2 * RECORD, 7]);
    }

    proptest! {
        #[test]
        fn no_record_has_the_rest_of_a_request_and_another(
            lengths in prop::collection::vec(prop_oneof![0..40_usize, 16_300..16_400_usize, 0..50_000_usize], 1..20),
        ) {
            let requests: Vec<_> = lengths.iter().map(|&length| set(length)).collect();
            let mut ends = vec![0];
            for request in &requests {
                ends.push(ends[ends.len() - 1] + request.len());
            }
            let mut start = 0;
            for length in cut(&requests.concat()) {
                let end = start + length;
                prop_assert!((1..=RECORD).contains(&length));
                let is_whole = ends.contains(&start) && ends.contains(&end);
                let inside = ends.iter().filter(|&&it| start < it && it < end).count();
                prop_assert!(is_whole || inside == 0);
                start = end;
            }
            prop_assert_eq!(Some(&start), ends.last());
        }
    }
}
