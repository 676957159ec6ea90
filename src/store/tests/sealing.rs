//! Secrets in a store: they are sealed on the disk, readable after every opening, and unreadable without the
//! key.

use std::fs;
use std::path::Path;

use crate::model::id::SubscriptionId;
use crate::model::secret::{Secret, SigningSecret};
use crate::model::subscription::Subscription;
use crate::model::time::Clock;
use crate::store::disk::secret_cipher;
use crate::store::rows::key::{self, Table};
use crate::store::rows::record;
use crate::store::rows::write_batch::WriteBatch;
use crate::store::tests::test_store::{self, TestStore};
use crate::store::*;

fn clock() -> Clock {
    Clock::starting_at(test_store::EPOCH)
}

fn with_secret(id: u128, key: [u8; 32]) -> Subscription {
    let secret = Secret::from_random(key);
    let secrets = vec![SigningSecret { secret, created_at: test_store::EPOCH, expires_at: None }];
    Subscription { secrets, ..test_store::subscription(id) }
}

async fn put(rig: &TestStore, subscription: Subscription) {
    rig.step(|place, done| place.put_subscription(subscription, None, done)).await.unwrap();
}

/// Returns how many times any of these byte strings occurs in the files under `folder`.
fn count(folder: &Path, hidden: &[&[u8]]) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += count(&path, hidden);
        } else {
            let bytes = fs::read(&path).unwrap();
            found +=
                hidden.iter().filter(|part| bytes.windows(part.len()).any(|window| window == **part)).count();
        }
    }
    found
}

#[tokio::test]
async fn secrets_are_unreadable_on_disk_and_readable_after_opening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let value = with_secret(9, *b"thirty-two bytes that are hidden");
    let (rig, _) = TestStore::open(&path, &clock(), 1);
    put(&rig, value.clone()).await;
    assert_eq!(rig.reader.subscription(value.id).unwrap(), Some(value.clone()));
    rig.close().await.unwrap();
    let secret = &value.secrets[0].secret;
    let hidden = [b"thirty-two bytes that are hidden".as_slice(), &secret.reveal().as_bytes()[6..]];
    assert_eq!(count(&path, &hidden), 0);
    assert!(count(&path, &[b"https://example.com/hook"]) > 0, "the positive control");
    let (rig, found) = TestStore::open(&path, &clock(), 2);
    assert_eq!(found.subscriptions[0].0, value);
    rig.close().await.unwrap();
}

#[tokio::test]
async fn a_store_opens_only_with_its_own_key() {
    let directory = tempfile::tempdir().unwrap();
    let (path, kept) = (directory.path().join("data"), directory.path().join("kept"));
    let (rig, _) = TestStore::open(&path, &clock(), 1);
    rig.close().await.unwrap();
    let key = secret_cipher::default_path(&path);
    fs::remove_file(&key).unwrap();
    let (rig, _) = TestStore::open(&path, &clock(), 2);
    assert!(key.exists(), "nothing was sealed, so that a new key is as good");
    put(&rig, with_secret(9, [7; 32])).await;
    rig.close().await.unwrap();

    fs::rename(&key, &kept).unwrap();
    let error = test_store::try_open(&path, &clock(), 3).unwrap_err();
    let OpenError::Key { key: named, error: KeyError::Missing, .. } = &error else { panic!("{error}") };
    assert_eq!((named, key.exists()), (&key, false));
    assert!(error.to_string().contains(key.to_str().unwrap()), "{error}");

    let other = StoreOptions { key_file: Some(directory.path().join("other")), ..test_store::options(&path) };
    let opened = |options: &StoreOptions| {
        let rng = rand::SeedableRng::seed_from_u64(4);
        open(options, clock(), rng, &mut |_| {})
    };
    assert!(matches!(opened(&other), Err(OpenError::Key { error: KeyError::Missing, .. })));
    fs::write(other.key_file.as_ref().unwrap(), [1; 32]).unwrap();
    fs::set_permissions(other.key_file.as_ref().unwrap(), fs::metadata(&kept).unwrap().permissions())
        .unwrap();
    assert!(matches!(opened(&other), Err(OpenError::Key { error: KeyError::Wrong, .. })));

    let (rig, found) = test_store::start(
        opened(&StoreOptions { key_file: Some(kept), ..test_store::options(&path) }).unwrap(),
    );
    assert_eq!(found.subscriptions[0].0, with_secret(9, [7; 32]));
    rig.close().await.unwrap();
}

#[tokio::test]
async fn secrets_of_an_earlier_version_are_sealed_at_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures/subscription_v1.bin");
    let stored = fs::read(stored).unwrap();
    let id = SubscriptionId::from_bits(9);
    // The store as an earlier version left it.
    let opened = test_store::try_open(&path, &clock(), 1).unwrap();
    let mut batch = WriteBatch::default();
    batch.put_long(Table::Subscriptions, id.bits(), &stored, 0);
    let tables = opened.reader.tables.clone();
    tables.apply(&batch, opened.committer.writer.feed.meta()).unwrap();
    tables.flush().unwrap();
    let before = opened.reader.subscription(id).unwrap().unwrap();
    assert_eq!(before.secrets.len(), 2);
    drop((opened, tables));

    for seed in [2, 3] {
        let (rig, found) = TestStore::open(&path, &clock(), seed);
        assert_eq!(found.subscriptions[0].0, before);
        let row =
            rig.reader.tables.tree(Table::Subscriptions).get(key::chunk(id.bits(), 0)).unwrap().unwrap();
        assert!(!record::is_plain(&row));
        rig.close().await.unwrap();
    }
}
