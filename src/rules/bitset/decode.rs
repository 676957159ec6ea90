//! From the words of a bitmap to the numbers of its set bits.
//!
//! The only file with processor-specific code. Where AVX-512 is present, found out at run time, it writes 16
//! numbers at a time; everywhere else a scalar twin does the same, and a test compares the two.

use super::{WORDS, Words};

/// A bitmap, or two of which the common bits are meant.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    One(&'a Words),
    Both(&'a Words, &'a Words),
}

impl Source<'_> {
    fn words(self) -> impl Iterator<Item = u64> {
        let (ours, theirs) = match self {
            Self::One(words) => (words, None),
            Self::Both(ours, theirs) => (ours, Some(theirs)),
        };
        (0..WORDS).map(move |at| {
            let word = ours.get(at).copied().unwrap_or(0);
            theirs.map_or(word, |theirs| word & theirs.get(at).copied().unwrap_or(0))
        })
    }
}

/// Appends the numbers of the set bits, counted from `base`; there are at most `most` of them.
pub(super) fn decode(base: u32, source: Source<'_>, most: usize, out: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt") {
        match source {
            Source::One(words) => avx512::decode(base, words.iter().copied(), most, out),
            Source::Both(ours, theirs) => {
                avx512::decode(base, ours.iter().zip(theirs).map(|(a, b)| a & b), most, out);
            }
        }
        return;
    }
    scalar(base, source.words(), most, out);
}

/// The same in portable code.
fn scalar(base: u32, words: impl Iterator<Item = u64>, most: usize, out: &mut Vec<u32>) {
    out.reserve(most);
    for (first, mut word) in (base..).step_by(64).zip(words) {
        while word != 0 {
            out.push(first | word.trailing_zeros());
            word &= word - 1;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions and writing into reserved space")]
mod avx512 {
    use std::arch::x86_64::{
        _mm512_add_epi32, _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_setr_epi32,
        _mm512_storeu_si512,
    };

    /// Numbers written at once.
    const LANES: usize = 16;
    /// From this many set bits in a word on, writing 16 at a time is faster than one by one.
    const DENSE: u32 = 6;

    /// Appends the numbers of the set bits of at most 1,024 words; the caller has checked for AVX-512.
    pub(super) fn decode(base: u32, words: impl Iterator<Item = u64>, most: usize, out: &mut Vec<u32>) {
        // SAFETY: the only caller checks that the processor has these features.
        unsafe { compress(base, words, most, out) }
    }

    #[target_feature(enable = "avx512f,popcnt")]
    fn compress(base: u32, words: impl Iterator<Item = u64>, most: usize, out: &mut Vec<u32>) {
        out.reserve(most + LANES);
        let room = out.capacity() - LANES;
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut end = out.len();
        for (first, mut word) in (base..).step_by(64).zip(words) {
            let count = word.count_ones();
            assert!(end + count as usize <= room, "a bitmap has more members than it counts");
            if count < DENSE {
                while word != 0 {
                    // SAFETY: below `room`, as asserted for the whole word.
                    unsafe { out.as_mut_ptr().add(end).write(first | word.trailing_zeros()) };
                    end += 1;
                    word &= word - 1;
                }
                continue;
            }
            for quarter in [0, 16, 32, 48] {
                #[expect(clippy::cast_possible_truncation, reason = "a quarter of the word is what is meant")]
                let mask = (word >> quarter) as u16;
                let numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32((first + quarter).cast_signed()));
                let packed = _mm512_maskz_compress_epi32(mask, numbers);
                // SAFETY: at most `LANES` numbers from `end`, which is at most `room`, on: within the capacity.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(end).cast(), packed) };
                end += mask.count_ones() as usize;
            }
        }
        // SAFETY: every element up to `end` was written above.
        unsafe { out.set_len(end) };
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn the_fast_way_says_what_the_portable_one_says() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut words = |density: f64| -> Words {
            std::array::from_fn(|_| {
                (0..64).fold(0, |word, bit| word | u64::from(rng.random_bool(density)) << bit)
            })
        };
        let bitmaps: Vec<Words> = [0.0, 0.001, 0.05, 0.1, 0.3, 0.7, 1.0].map(&mut words).into();
        for ours in &bitmaps {
            for theirs in &bitmaps {
                for source in [Source::One(ours), Source::Both(ours, theirs)] {
                    let most = source.words().map(|word| word.count_ones() as usize).sum();
                    let (mut fast, mut portable) = (vec![7], vec![7]);
                    decode(3 << 16, source, most, &mut fast);
                    scalar(3 << 16, source.words(), most, &mut portable);
                    assert_eq!(fast, portable);
                    assert_eq!(fast.len(), most + 1);
                }
            }
        }
    }
}
