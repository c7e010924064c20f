//! MD5 of eight messages side by side: one step of the algorithm (RFC 1321) on eight states at once.
//!
//! A message's own steps wait for each other, so one message alone leaves most of a processor idle;
//! eight of them take about a fifth of the time. Single messages are the crate `md-5`'s, which the
//! tests compare this with; and every digest is checked once more by the service that gets it.

use pulp::{Arch, NullaryFnOnce};
use wide::u32x8;

/// Messages side by side.
pub(super) const LANES: usize = 8;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// What every message begins with.
const BEGIN: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The integer parts of 2³² × |sin(i + 1)|.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Eight digests in the making.
pub(super) struct Eight {
    state: [[u32; LANES]; 4],
}

impl Eight {
    pub(super) fn new() -> Self {
        Eight {
            state: BEGIN.map(|word| [word; LANES]),
        }
    }

    /// Begins a new message in `lane`.
    pub(super) fn begin(&mut self, lane: usize) {
        for (words, word) in self.state.iter_mut().zip(BEGIN) {
            words[lane] = word;
        }
    }

    /// The digest of what was taken in by `lane`, its padding included.
    pub(super) fn digest(&self, lane: usize) -> [u8; 16] {
        let mut digest = [0; 16];
        for (bytes, words) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&words[lane].to_le_bytes());
        }
        digest
    }

    /// Takes in the next blocks of every lane: equally many, and no part of one.
    pub(super) fn take(&mut self, lanes: [&[u8]; LANES]) {
        Arch::new().dispatch(Take { eight: self, lanes });
    }

    #[inline(always)]
    fn take_as_compiled(&mut self, lanes: [&[u8]; LANES]) {
        let mut state = self.state.map(u32x8::new);
        let mut blocks = lanes.map(|lane| lane.chunks_exact(BLOCK));
        loop {
            let mut words = [[0; LANES]; 16];
            for (lane, blocks) in blocks.iter_mut().enumerate() {
                let Some(block) = blocks.next() else {
                    self.state = state.map(u32x8::to_array);
                    return;
                };
                for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
                    word[lane] = u32::from_le_bytes(*bytes);
                }
            }
            state = step(state, &words.map(u32x8::new));
        }
    }
}

/// The call of [`Eight::take`], compiled once for each level of instructions: where there is AVX-512, one
/// instruction rotates and one mixes, which takes three or four of the oldest.
struct Take<'a> {
    eight: &'a mut Eight,
    lanes: [&'a [u8]; LANES],
}

impl NullaryFnOnce for Take<'_> {
    type Output = ();

    // A closure would not be compiled into its caller, nor then for its caller's processor.
    #[inline(always)]
    fn call(self) {
        self.eight.take_as_compiled(self.lanes);
    }
}

/// Sixteen rounds of four kinds on one block of every lane.
#[inline(always)]
fn step(state: [u32x8; 4], words: &[u32x8; 16]) -> [u32x8; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    macro_rules! round {
        ($mix:expr, $word:expr, $sine:expr, $turn:expr) => {
            let sum = a + $mix + words[$word] + u32x8::splat(SINES[$sine]);
            let turned = (sum << $turn) | (sum >> (32 - $turn));
            (a, d, c, b) = (d, c, b, b + turned);
        };
    }
    macro_rules! rounds {
        ($kind:expr, $mix:expr, $from:expr, $stride:expr, $turns:expr) => {
            rounds!(@ $kind, $mix, $from, $stride, $turns; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        };
        (@ $kind:expr, $mix:expr, $from:expr, $stride:expr, $turns:expr; $($at:literal)*) => {
            $( round!($mix, ($from + $stride * $at) % 16, $kind * 16 + $at, $turns[$at % 4]); )*
        };
    }
    const TURNS: [[u32; 4]; 4] = [
        [7, 12, 17, 22],
        [5, 9, 14, 20],
        [4, 11, 16, 23],
        [6, 10, 15, 21],
    ];
    rounds!(0, ((c ^ d) & b) ^ d, 0, 1, TURNS[0]);
    rounds!(1, ((b ^ c) & d) ^ c, 1, 5, TURNS[1]);
    rounds!(2, b ^ c ^ d, 5, 3, TURNS[2]);
    rounds!(3, c ^ (b | !d), 0, 7, TURNS[3]);
    let [first_a, first_b, first_c, first_d] = state;
    [a + first_a, b + first_b, c + first_c, d + first_d]
}

/// The end of a message: what is left of it after whole blocks, and its padding.
pub(super) fn padded(rest: &[u8], length: u64) -> Vec<u8> {
    let mut tail = Vec::with_capacity(2 * BLOCK);
    tail.extend_from_slice(rest);
    tail.push(0x80);
    tail.resize((tail.len() + 8).next_multiple_of(BLOCK) - 8, 0);
    tail.extend_from_slice(&(length.wrapping_mul(8)).to_le_bytes());
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_at_hand_digests_as_the_oldest_does() {
        let bytes: Vec<u8> = (0..LANES * 10 * BLOCK)
            .map(|at| (at * 31 + at / 7) as u8)
            .collect();
        let lanes: [&[u8]; LANES] =
            std::array::from_fn(|lane| &bytes[lane * 10 * BLOCK..][..10 * BLOCK]);
        let (mut here, mut plain) = (Eight::new(), Eight::new());
        here.take(lanes);
        plain.take_as_compiled(lanes);
        for lane in 0..LANES {
            assert_eq!(here.digest(lane), plain.digest(lane), "{lane}");
        }
    }
}
