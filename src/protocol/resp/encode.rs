//! Requests, written.

/// Appends `*length`: the header of an array, which is what a command is.
pub(crate) fn write_array_header(out: &mut Vec<u8>, length: usize) {
    write_header(out, b'*', length);
}

/// Appends a bulk string, which is what an argument is.
pub(crate) fn write_bulk_string(out: &mut Vec<u8>, bytes: &[u8]) {
    write_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends the first `length` of `bytes`. If that is no more than a key or a short value, it is copied together with
/// what is behind it, which is cut off again: a copy of a known size takes no call, and there are very many of them.
#[cfg(feature = "proxy")]
#[inline(always)]
pub(crate) fn append_start(out: &mut Vec<u8>, bytes: &[u8], length: usize) {
    const KEY: usize = 32;
    const VALUE: usize = 128;
    let end = out.len() + length;
    if length <= KEY
        && let Some(start) = bytes.first_chunk::<KEY>()
    {
        out.extend_from_slice(start);
    } else if length <= VALUE
        && let Some(start) = bytes.first_chunk::<VALUE>()
    {
        out.extend_from_slice(start);
    } else {
        out.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }
    out.truncate(end);
}

fn write_header(out: &mut Vec<u8>, kind: u8, mut number: usize) {
    // The kind, 20 digits and the line end, filled from the end.
    let mut line = [0; 23];
    let mut start = line.len() - 2;
    line[start..].copy_from_slice(b"\r\n");
    loop {
        start -= 1;
        line[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    start -= 1;
    line[start] = kind;
    out.extend_from_slice(&line[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "proxy")]
    #[test]
    fn no_more_than_the_start_is_appended() {
        let bytes: Vec<u8> = (0..200).collect();
        for length in 0..=200 {
            for there in length..=200 {
                let mut out = b"before".to_vec();
                append_start(&mut out, &bytes[..there], length);
                assert_eq!(out, [b"before", &bytes[..length]].concat());
            }
        }
    }

    #[test]
    fn numbers_of_all_lengths_are_written() {
        for number in [0, 9, 10, 99, 100, 12_345, usize::MAX] {
            let mut out = Vec::new();
            write_array_header(&mut out, number);
            assert_eq!(out, format!("*{number}\r\n").into_bytes());
        }
        let mut out = Vec::new();
        write_bulk_string(&mut out, b"a\r\nb");
        assert_eq!(out, b"$4\r\na\r\nb\r\n");
    }
}
