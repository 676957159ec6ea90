//! Damages the files of a closed store.
//!
//! Opening it either finds everything that was acknowledged, or refuses with the file and a remedy. It never
//! hangs, and never shows anything that was not acknowledged. sled finds some rare damage only in a later
//! read and panics then.
//!
//! `TRIALS` sets the number of damages (default 100). `SEED` repeats a run.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};

    use postrider::store::OpenError;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use crate::faulty_disk::work::{Bench, Work};
    use crate::faulty_disk::{self, image};
    use crate::support::{memory_dir, variable};

    const ROUNDS: usize = 60;
    const PAGE: usize = 4096;

    /// A kind of damage to a file.
    #[derive(Clone, Copy, Debug)]
    enum Damage {
        Flip,
        Zero,
        Swap,
        Truncate,
        Remove,
    }

    const ALL: [Damage; 5] = [Damage::Flip, Damage::Zero, Damage::Swap, Damage::Truncate, Damage::Remove];

    /// Damages a random file and returns a description of the damage.
    fn damage(root: &Path, rng: &mut StdRng) -> String {
        let files: Vec<(PathBuf, Vec<u8>)> =
            image::files(root).into_iter().filter(|(_, b)| !b.is_empty()).collect();
        // Most damage goes to the data file.
        let data = files.iter().position(|(path, _)| path.ends_with("db")).unwrap();
        let chosen = if rng.random_bool(0.6) { data } else { rng.random_range(0..files.len()) };
        let (path, mut bytes) = files[chosen].clone();
        let kind = ALL[rng.random_range(0..ALL.len())];
        let at = rng.random_range(0..bytes.len());
        let page = at / PAGE * PAGE;
        let end = (page + PAGE).min(bytes.len());
        match kind {
            Damage::Flip => bytes[at] ^= 1 << rng.random_range(0..8),
            Damage::Zero => bytes[page..end].fill(0),
            Damage::Swap => {
                let other = rng.random_range(0..bytes.len()) / PAGE * PAGE;
                for index in 0..PAGE {
                    if page + index < bytes.len() && other + index < bytes.len() {
                        bytes.swap(page + index, other + index);
                    }
                }
            }
            Damage::Truncate => bytes.truncate(at),
            Damage::Remove => {
                fs::remove_file(root.join(&path)).unwrap();
                return format!("{} removed", path.display());
            }
        }
        // The file is written in place, so that it keeps its mode.
        fs::write(root.join(&path), bytes).unwrap();
        format!("{kind:?} of {} at {at}", path.display())
    }

    fn copy(files: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
        for path in files.keys() {
            fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
            fs::copy(from.join(path), to.join(path)).unwrap();
        }
    }

    /// Returns whether a refusal names a file of the store and a remedy.
    fn helps(error: &OpenError, root: &Path) -> bool {
        let text = error.to_string();
        let ways =
            ["restore", "remove the file", "restore the file", "restore that key file", "consider the key"];
        text.contains(root.to_str().unwrap()) && ways.iter().any(|way| text.contains(way))
    }

    /// Creates a store with some history and closes it cleanly. With `snapshot`, opens it once more, so that
    /// sled writes a snapshot.
    async fn prepared(root: &Path, seed: u64, snapshot: bool) -> Work {
        let mut work = Work::new(seed);
        let bench = Bench::open(root, &work.clock, seed).unwrap();
        work.subscribe(&bench).await.unwrap();
        for _ in 0..ROUNDS {
            work.round(&bench).await.unwrap();
        }
        bench.close().await.unwrap();
        if snapshot {
            Bench::open(root, &work.clock, seed).unwrap().close().await.unwrap();
        }
        work
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_store_is_repaired_or_refused() {
        let _one_test = faulty_disk::ONE_TEST.lock().await;
        let (seed, trials): (u64, usize) = (variable("SEED", 7), variable("TRIALS", 100));
        println!("SEED={seed} TRIALS={trials}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut bad, mut right, mut late) = (Vec::new(), 0, 0);
        let mut refusals = BTreeMap::<String, usize>::new();
        for snapshot in [false, true] {
            let place = memory_dir();
            let root = place.path().join("data");
            let work = prepared(&root, seed, snapshot).await;
            let files = image::files(&root);
            for number in 0..trials / 2 {
                let target = place.path().join("damaged");
                copy(&files, &root, &target);
                let done = damage(&target, &mut rng);
                // The second opening sees the files that the first one left, as another process would.
                let again = place.path().join("again");
                for opening in 1..=2 {
                    if opening == 2 {
                        copy(&image::files(&target), &target, &again);
                    }
                    let target = if opening == 1 { &target } else { &again };
                    match Bench::open(target, &work.clock, seed + number as u64) {
                        Ok(bench) => {
                            // sled finds some damage only when it reads again, and panics then: late, but not
                            // silently.
                            match catch_unwind(AssertUnwindSafe(|| work.facts.check(&bench, usize::MAX))) {
                                Ok(Ok(())) => right += 1,
                                Ok(Err(problem)) => {
                                    bad.push(format!("{done}, opening {opening}: opened, but {problem}"));
                                }
                                Err(_) => late += 1,
                            }
                            bench.close().await.unwrap();
                        }
                        Err(error) if helps(&error, target) => {
                            let text = format!("{error:?}");
                            let kind = text.split([' ', '(']).next().unwrap_or_default();
                            *refusals.entry(kind.to_owned()).or_default() += 1;
                        }
                        Err(error) => bad.push(format!("{done}, opening {opening}: no help in: {error}")),
                    }
                }
                fs::remove_dir_all(&target).unwrap();
                fs::remove_dir_all(&again).unwrap();
            }
        }
        println!(
            "{trials} damages, opened twice each: {right} right, {refusals:?} refused, {late} found late, {} bad",
            bad.len()
        );
        assert!(bad.is_empty(), "{}", bad.join("\n"));
        assert!(right > 0 && !refusals.is_empty(), "the damage was all of one kind");
    }
}
