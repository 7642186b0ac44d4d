//! Bob Jenkins's lookup3, `hashlittle` (nutcracker 0.5.0 `nc_jenkins.c`).

const INITIAL: u32 = 13;

/// `hash_jenkins`: the same on every machine and at every alignment.
pub(super) fn jenkins(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32).wrapping_add(INITIAL);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        add(&mut a, &mut b, &mut c, block);
        mix(&mut a, &mut b, &mut c);
        rest = after;
    }
    if rest.is_empty() {
        return c;
    }
    let mut last = [0; 12];
    last[..rest.len()].copy_from_slice(rest);
    add(&mut a, &mut b, &mut c, &last);
    finish(a, b, c)
}

fn add(a: &mut u32, b: &mut u32, c: &mut u32, block: &[u8]) {
    let word =
        |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    *a = a.wrapping_add(word(0));
    *b = b.wrapping_add(word(4));
    *c = c.wrapping_add(word(8));
}

/// `a -= c; a ^= rot(c, 4); c += b;` and so on round the three.
fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    let round = |x: &mut u32, y: u32, z: &mut u32, bits: u32| {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(bits);
        *z = z.wrapping_add(y);
    };
    round(a, *b, c, 4);
    round(b, *c, a, 6);
    round(c, *a, b, 8);
    round(a, *b, c, 16);
    round(b, *c, a, 19);
    round(c, *a, b, 4);
}

fn finish(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    let turn = |x: u32, y: u32, bits: u32| (x ^ y).wrapping_sub(y.rotate_left(bits));
    c = turn(c, b, 14);
    a = turn(a, c, 11);
    b = turn(b, a, 25);
    c = turn(c, b, 16);
    a = turn(a, c, 4);
    b = turn(b, a, 14);
    turn(c, b, 24)
}
