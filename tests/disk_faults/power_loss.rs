//! Simulates power cuts.
//!
//! The test records every operation of the store on its directory and rebuilds the disk as it may be after a
//! power cut at one of many moments. The real store opens each image. It must hold everything acknowledged
//! exactly once and must continue to work.
//!
//! `IMAGES` sets the number of images (default 60), half for each of two models of a disk. `SEED` repeats a
//! run.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use crate::faulty_disk;
    use crate::faulty_disk::image::{self, Model};
    use crate::faulty_disk::record::Record;
    use crate::faulty_disk::work::{Bench, Facts, Work};
    use crate::support::{memory_dir, variable};

    const SESSIONS: usize = 3;
    /// The number of images of a disk that ignores syncs, which prove that the checks notice a loss.
    const LYING: usize = 20;
    const ROUNDS: usize = 60;
    /// The trees in which the work must have left rows for the test to be meaningful.
    const EXERCISED: [&str; 8] =
        ["events", "retrying", "succeeded", "exhausted", "due", "dedup", "segments", "subscriptions"];

    /// Runs several sessions that end cleanly, and records every operation on the disk.
    async fn recorded(root: &Path, seed: u64) -> (Record, Work) {
        let mut work = Work::new(seed);
        faulty_disk::start(root, None);
        for session in 0..SESSIONS {
            let bench = Bench::open(root, &work.clock, seed + session as u64).unwrap();
            if session == 0 {
                work.subscribe(&bench).await.unwrap();
            }
            for _ in 0..ROUNDS {
                work.round(&bench).await.unwrap();
            }
            if session + 1 == SESSIONS {
                let rows = bench.reader.rows().unwrap();
                println!("{rows:?}");
                assert!(rows.iter().all(|(tree, rows)| *rows > 0 || !EXERCISED.contains(tree)), "{rows:?}");
            }
            bench.close().await.unwrap();
        }
        (faulty_disk::stop(), work)
    }

    /// The images of one record.
    struct Series<'a> {
        record: &'a Record,
        work: &'a Work,
        place: &'a Path,
    }

    impl Series<'_> {
        /// Tries this many images. Returns the number of acknowledged events that they had to hold, and the
        /// faults found.
        async fn run(&self, images: usize, seed: u64, models: &[Model]) -> (usize, Vec<String>) {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut found, mut bad) = (0, Vec::new());
            for number in 0..images {
                let model = models[number % models.len()];
                let cut = rng.random_range(0..=self.record.ops.len());
                let seed = seed + number as u64;
                let trial = Trial { facts: &self.work.facts, work: self.work, seed, cut, model };
                let (image, again) = (self.place.join("image"), self.place.join("again"));
                image::build(self.record, cut, model, seed, &image);
                let twice = number % 4 >= 2;
                let opened =
                    if twice { trial.open_twice(&image, &again).await } else { trial.open(&image).await };
                if let Err(problem) = opened {
                    bad.push(format!("image {number}, {model:?}, after operation {cut}: {problem}"));
                }
                found += self.work.facts.acked_by(cut);
                for folder in [&image, &again] {
                    fs::remove_dir_all(folder).unwrap_or_default();
                }
            }
            (found, bad)
        }
    }

    struct Trial<'a> {
        facts: &'a Facts,
        work: &'a Work,
        seed: u64,
        cut: usize,
        model: Model,
    }

    impl Trial<'_> {
        /// Opens an image and compares it with the acknowledged steps. Returns the first fault.
        async fn open(&self, image: &Path) -> Result<(), String> {
            let bench = Bench::open(image, &self.work.clock, self.seed).map_err(|error| error.to_string())?;
            self.facts.check(&bench, self.cut)?;
            self.facts.go_on(&bench, self.cut).await?;
            bench.close().await.map_err(|error| error.to_string())
        }

        /// Opens an image with another power cut during the opening or the work after it.
        async fn open_twice(&self, image: &Path, again: &Path) -> Result<(), String> {
            faulty_disk::start(image, None);
            let opened = self.open(image).await;
            let record = faulty_disk::stop();
            opened?;
            let mut rng = StdRng::seed_from_u64(self.seed);
            let cut = rng.random_range(0..=record.ops.len());
            image::build(&record, cut, self.model, self.seed, again);
            let bench =
                Bench::open(again, &self.work.clock, self.seed).map_err(|error| format!("again: {error}"))?;
            let is_new = |problem: &String| problem.contains("comes from nowhere");
            self.facts
                .check(&bench, self.cut)
                .or_else(|problem| if is_new(&problem) { Ok(()) } else { Err(problem) })?;
            bench.close().await.map_err(|error| error.to_string())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_acknowledged_event_is_lost_in_a_power_cut() {
        let _one_test = faulty_disk::ONE_TEST.lock().await;
        let (seed, images): (u64, usize) = (variable("SEED", 7), variable("IMAGES", 60));
        println!("SEED={seed} IMAGES={images}");
        let place = memory_dir();
        let root = place.path().join("data");
        let (record, work) = recorded(&root, seed).await;
        complete(&record, place.path());
        let series = Series { record: &record, work: &work, place: place.path() };
        let (found, bad) = series.run(images, seed, &[Model::Ordered, Model::Scattered]).await;
        println!(
            "{images} images of {} operations, {} syncs, {} events: {found} acknowledged events looked for, {} bad",
            record.ops.len(),
            record.syncs(),
            work.facts.events(),
            bad.len()
        );
        assert!(bad.is_empty(), "{}", bad.join("\n"));
        assert!(found > 0, "no image had anything to lose");
        let (_, bad) = series.run(LYING, seed, &[Model::Lying]).await;
        println!("{LYING} images of a disk that only says that it syncs: {} bad", bad.len());
        assert!(bad.len() > LYING / 4, "what a lying disk lost was hardly noticed: {bad:?}");
    }

    /// Checks that the record is complete: without a loss, it rebuilds the directory byte for byte.
    fn complete(record: &Record, place: &Path) {
        let rebuilt = place.join("rebuilt");
        image::build(record, record.ops.len(), Model::Whole, 0, &rebuilt);
        let (real, rebuilt) = (image::files(&record.root), image::files(&rebuilt));
        assert!(real.keys().eq(rebuilt.keys()), "{:?}\n{:?}", real.keys(), rebuilt.keys());
        for (path, bytes) in &real {
            assert!(rebuilt[path] == *bytes, "{} was written without the record", path.display());
        }
    }
}
