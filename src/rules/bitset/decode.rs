//! Decoding of bitmaps to the positions of their set bits.
//!
//! This is the only file of the index with processor-specific code. AVX-512 writes 16 numbers at a time, AVX2
//! writes eight. On other processors, portable code does the same. A test compares all three.

use std::sync::atomic::{AtomicU8, Ordering};

/// A bitmap, or the intersection of two bitmaps. The shorter one determines the length.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    One(&'a [u64]),
    Both(&'a [u64], &'a [u64]),
}

/// An implementation of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kernel {
    /// Decodes with portable code.
    Scalar = 1,
    /// AVX2: eight numbers at a time.
    Avx2 = 2,
    /// AVX-512: sixteen numbers at a time.
    Avx512 = 3,
}

impl Kernel {
    /// Every kernel, the fastest last.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// Returns whether this processor supports the kernel.
    pub fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Scalar => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt"),
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt"),
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Scalar)
    }
}

/// The forced kernel as a number, or 0 for the fastest one that is present.
static FORCED: AtomicU8 = AtomicU8::new(0);

/// Makes all matching in this process use one kernel, or the fastest one if `kernel` is `None`.
///
/// Used by benchmarks to compare kernels. If the processor does not support the kernel, the next slower one
/// is used.
pub fn force_kernel(kernel: Option<Kernel>) {
    FORCED.store(kernel.map_or(0, |kernel| kernel as u8), Ordering::Relaxed);
}

/// Returns the kernel to use.
fn kernel() -> Kernel {
    let forced = FORCED.load(Ordering::Relaxed);
    let usable = |kernel: &Kernel| (forced == 0 || *kernel as u8 <= forced) && kernel.is_present();
    Kernel::ALL.into_iter().rev().find(usable).unwrap_or(Kernel::Scalar)
}

/// Appends the positions of the set bits, counted from `base`. There must be at most `count_max` of them.
pub(super) fn decode(base: u32, source: Source<'_>, count_max: usize, out: &mut Vec<u32>) {
    decode_by(kernel(), base, source, count_max, out);
}

fn decode_by(kernel: Kernel, base: u32, source: Source<'_>, count_max: usize, out: &mut Vec<u32>) {
    match source {
        Source::One(words) => decode_words(kernel, base, words.iter().copied(), count_max, out),
        Source::Both(ours, theirs) => {
            decode_words(kernel, base, ours.iter().zip(theirs).map(|(a, b)| a & b), count_max, out);
        }
    }
}

/// Decodes with a kernel that this processor supports.
fn decode_words(
    kernel: Kernel,
    base: u32,
    words: impl Iterator<Item = u64>,
    count_max: usize,
    out: &mut Vec<u32>,
) {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512 => simd::by_sixteen(base, words, count_max, out),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => simd::by_eight(base, words, count_max, out),
        _ => scalar(base, words, count_max, out),
    }
}

/// Spare capacity for one word: the numbers of a word are written before they are counted.
const SLACK: usize = 64;

/// Decodes with portable code.
///
/// Numbers are written eight at a time, so that few branches depend on the bits.
fn scalar(base: u32, words: impl Iterator<Item = u64>, count_max: usize, out: &mut Vec<u32>) {
    const AT_ONCE: usize = 8;
    let start = out.len();
    out.resize(start + count_max + SLACK, 0);
    let mut end = start;
    for (first, mut word) in (base..).step_by(64).zip(words) {
        let next = end + word.count_ones() as usize;
        while word != 0 {
            let Some(places) = out.get_mut(end..).and_then(<[u32]>::first_chunk_mut::<AT_ONCE>) else {
                break;
            };
            for place in places {
                *place = first.wrapping_add(word.trailing_zeros());
                word &= word.wrapping_sub(1);
            }
            end += AT_ONCE;
        }
        end = next;
    }
    assert!(end <= start + count_max, "a bitmap has more set bits than its count says");
    out.truncate(end);
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions and writing into reserved space")]
mod simd {
    use std::arch::x86_64::{
        _mm_cvtsi64_si128, _mm256_add_epi32, _mm256_cvtepu8_epi32, _mm256_set1_epi32, _mm256_storeu_si256,
        _mm512_add_epi32, _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_setr_epi32,
        _mm512_storeu_si512,
    };

    use crate::rules::bitset::decode::{Kernel, SLACK};

    /// The most numbers that one instruction writes.
    const LANES: usize = 16;
    /// If a word has at least this many set bits, vector instructions are faster than writing its numbers one
    /// by one.
    const DENSE: u32 = 6;

    /// The positions of the set bits of each byte value, packed as one byte per position.
    static POSITIONS: [u64; 256] = positions();

    #[expect(clippy::indexing_slicing, reason = "the loop's condition keeps the index below the length")]
    const fn positions() -> [u64; 256] {
        let mut table = [0; 256];
        let mut byte = 0_usize;
        while byte < table.len() {
            let (mut bits, mut shift, mut packed) = (byte, 0, 0);
            while bits != 0 {
                packed |= (bits.trailing_zeros() as u64) << shift;
                shift += 8;
                bits &= bits - 1;
            }
            table[byte] = packed;
            byte += 1;
        }
        table
    }

    /// Decodes with AVX-512.
    pub(super) fn by_sixteen(
        base: u32,
        words: impl Iterator<Item = u64>,
        count_max: usize,
        out: &mut Vec<u32>,
    ) {
        assert!(Kernel::Avx512.is_present(), "the processor lacks the instructions of this kernel");
        // SAFETY: the assertion above has checked that the processor supports these instructions.
        unsafe { compress(base, words, count_max, out) }
    }

    /// Decodes with AVX2.
    pub(super) fn by_eight(
        base: u32,
        words: impl Iterator<Item = u64>,
        count_max: usize,
        out: &mut Vec<u32>,
    ) {
        assert!(Kernel::Avx2.is_present(), "the processor lacks the instructions of this kernel");
        // SAFETY: the assertion above has checked that the processor supports these instructions.
        unsafe { look_up(base, words, count_max, out) }
    }

    /// Writes the numbers of a word with few set bits.
    ///
    /// # Safety
    /// The memory from `end` on must have room for one number per set bit of `word`.
    unsafe fn one_by_one(first: u32, mut word: u64, end: *mut u32) {
        let mut place = end;
        while word != 0 {
            // SAFETY: the caller guarantees room for one number per set bit.
            unsafe {
                place.write(first | word.trailing_zeros());
                place = place.add(1);
            }
            word &= word - 1;
        }
    }

    #[target_feature(enable = "avx512f,popcnt")]
    fn compress(base: u32, words: impl Iterator<Item = u64>, count_max: usize, out: &mut Vec<u32>) {
        out.reserve(count_max + SLACK);
        let room = out.capacity() - LANES;
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut end = out.len();
        for (first, word) in (base..).step_by(64).zip(words) {
            let count = word.count_ones();
            assert!(end + count as usize <= room, "a bitmap has more set bits than its count says");
            if count < DENSE {
                // SAFETY: the numbers of the whole word end before `room`, as asserted above.
                unsafe { one_by_one(first, word, out.as_mut_ptr().add(end)) };
                end += count as usize;
                continue;
            }
            for quarter in [0, 16, 32, 48] {
                #[expect(clippy::cast_possible_truncation, reason = "only a quarter of the word is wanted")]
                let mask = (word >> quarter) as u16;
                let numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32((first + quarter).cast_signed()));
                let packed = _mm512_maskz_compress_epi32(mask, numbers);
                // SAFETY: this writes at most `LANES` numbers from `end`. `end` is at most `room`, so they
                // fit the capacity.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(end).cast(), packed) };
                end += mask.count_ones() as usize;
            }
        }
        // SAFETY: every element up to `end` was written above.
        unsafe { out.set_len(end) };
    }

    #[target_feature(enable = "avx2,popcnt")]
    fn look_up(base: u32, words: impl Iterator<Item = u64>, count_max: usize, out: &mut Vec<u32>) {
        out.reserve(count_max + SLACK);
        let room = out.capacity() - LANES;
        let mut end = out.len();
        for (first, word) in (base..).step_by(64).zip(words) {
            let count = word.count_ones();
            assert!(end + count as usize <= room, "a bitmap has more set bits than its count says");
            if count < DENSE {
                // SAFETY: the numbers of the whole word end before `room`, as asserted above.
                unsafe { one_by_one(first, word, out.as_mut_ptr().add(end)) };
                end += count as usize;
                continue;
            }
            for (first, byte) in (first..).step_by(8).zip(word.to_le_bytes()) {
                #[expect(clippy::indexing_slicing, reason = "a byte is below the table's length of 256")]
                let positions = POSITIONS[usize::from(byte)];
                let wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(positions.cast_signed()));
                let numbers = _mm256_add_epi32(wide, _mm256_set1_epi32(first.cast_signed()));
                // SAFETY: this writes 8 numbers from `end`. `end` is at most `room`, so they fit the
                // capacity.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(end).cast(), numbers) };
                end += byte.count_ones() as usize;
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

    /// Returns the positions of the set bits, found one by one.
    fn members(base: u32, words: &[u64]) -> Vec<u32> {
        let is_set = |bit: &u32| words[*bit as usize / 64] >> (bit % 64) & 1 == 1;
        (0..u32::try_from(words.len() * 64).unwrap()).filter(is_set).map(|bit| base | bit).collect()
    }

    #[test]
    fn every_kernel_finds_all_set_bits() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut words = |(density, count): (f64, usize)| -> Vec<u64> {
            let word = |rng: &mut StdRng| {
                (0..64).fold(0, |word, bit| word | u64::from(rng.random_bool(density)) << bit)
            };
            (0..count).map(|_| word(&mut rng)).collect()
        };
        let shapes =
            [(0.0, 1024), (0.001, 1024), (0.05, 1024), (0.1, 8), (0.3, 512), (0.7, 1024), (1.0, 1024)];
        let bitmaps = shapes.map(&mut words);
        assert!(bitmaps.iter().any(|words| words.contains(&u64::MAX)));
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_present()) {
            for (ours, theirs) in
                bitmaps.iter().flat_map(|ours| bitmaps.iter().map(move |theirs| (ours, theirs)))
            {
                let both: Vec<u64> = ours.iter().zip(theirs).map(|(a, b)| a & b).collect();
                for (source, meant) in [(Source::One(ours), ours), (Source::Both(ours, theirs), &both)] {
                    let expected = members(3 << 16, meant);
                    let mut decoded = vec![7];
                    decode_by(kernel, 3 << 16, source, expected.len(), &mut decoded);
                    assert_eq!((decoded[0], &decoded[1..]), (7, &expected[..]), "{kernel:?}");
                }
            }
        }
    }
}
