//! Backups that are taken while the log is written, and their restores.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::model::id::SubscriptionId;
use crate::model::secret::{Secret, SigningSecret};
use crate::model::time::Clock;
use crate::store::disk::secret_cipher;
use crate::store::rows::key::Table;
use crate::store::rows::tables::Tables;
use crate::store::tests::test_store::{self, EPOCH, TestStore, content, to};
use crate::store::*;

const SUBSCRIPTION: SubscriptionId = SubscriptionId::from_bits(1);

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn rows(tables: &Tables) -> Rows {
    let of = |table: Table| {
        tables.tree(table).iter().map(move |row| {
            let (key, value) = row.unwrap();
            ((table.name(), key.to_vec()), value.to_vec())
        })
    };
    Table::ALL.into_iter().flat_map(of).collect()
}

async fn append(rig: &TestStore, count: usize) {
    let list = (0..count).map(|n| Append {
        content: content(Some(&rand::random::<u64>().to_string()), 100 + n * 40),
        targets: vec![to(SUBSCRIPTION, n % 2 == 0)],
    });
    rig.append(list.collect()).await.unwrap();
}

/// Creates a store with a subscription that has a secret, and some events.
async fn filled(path: &Path) -> TestStore {
    let (rig, _) = TestStore::open(path, &Clock::starting_at(EPOCH), 1);
    let secret = SigningSecret { secret: Secret::from_random([7; 32]), created_at: EPOCH, expires_at: None };
    let subscription =
        crate::model::subscription::Subscription { secrets: vec![secret], ..test_store::subscription(1) };
    rig.step(|place, done| place.put_subscription(subscription, None, done)).await.unwrap();
    for _ in 0..20 {
        append(&rig, 60).await;
    }
    rig
}

/// Takes a backup of the store, with changes of all kinds between its pieces.
async fn taken(rig: &TestStore, file: &Path) {
    let mut backup = Backup::new(rig.reader.clone(), EPOCH);
    assert!(rig.step(|place, done| place.begin_backup(&backup, done)).await.unwrap());
    let other = Backup::new(rig.reader.clone(), EPOCH);
    assert!(!rig.step(|place, done| place.begin_backup(&other, done)).await.unwrap(), "one at a time");
    let mut bytes = Vec::new();
    let mut pieces = 0;
    while let Some(piece) = backup.next_rows().unwrap() {
        bytes.extend_from_slice(&piece);
        pieces += 1;
        append(rig, 1).await;
        let (all, limit) = (EPOCH.after(std::time::Duration::from_hours(1)), 30);
        let sweep = Sweep {
            events_before: EPOCH,
            held_before: if pieces < 8 { all } else { EPOCH },
            bytes_max: u64::MAX,
            limit,
        };
        rig.step(|place, done| place.sweep(sweep, done)).await.unwrap();
        if pieces > 200 {
            break;
        }
    }
    let meta = rig.step(WriteSlot::end_backup).await.unwrap();
    bytes.extend_from_slice(&backup.finish(&meta).unwrap());
    assert!(pieces > 4, "too few pieces for anything to happen between them");
    fs::write(file, bytes).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backup_of_a_changing_log_equals_the_log_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target, file) = (dir.path().join("data"), dir.path().join("new"), dir.path().join("backup"));
    let rig = filled(&source).await;
    taken(&rig, &file).await;
    let before = rows(&rig.reader.tables);
    let seq = rig.reader.tables.meta().unwrap().unwrap().commit_seq;
    rig.close().await.unwrap();
    let info = check_backup(&file, &mut |_, _, _| {}).unwrap();
    assert_eq!((info.rows, info.made_at), (before.len() as u64, EPOCH));
    let needed = restore(&file, &target, None, &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(&needed, RestoreError::KeyNeeded { id } if Some(id) == info.key.as_ref()), "{needed}");
    assert!(!target.exists());
    restore(&file, &target, Some(&source.join("key")), &mut |_, _, _| {}).unwrap();
    let (rig, found) = TestStore::open(&target, &Clock::starting_at(EPOCH), 2);
    assert_eq!(rows(&rig.reader.tables), before);
    assert!(rig.reader.tables.meta().unwrap().unwrap().commit_seq > seq);
    assert_eq!(found.subscriptions[0].0.secrets.len(), 1);
    append(&rig, 3).await;
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_backup_is_refused_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target, file) = (dir.path().join("data"), dir.path().join("new"), dir.path().join("backup"));
    let rig = filled(&source).await;
    taken(&rig, &file).await;
    rig.close().await.unwrap();
    let (good, key) = (fs::read(&file).unwrap(), source.join("key"));
    let try_it = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let refused = restore(&file, &target, Some(&key), &mut |_, _, _| {}).unwrap_err();
        assert!(!target.exists() && refused.to_string().contains("backup"), "{refused}");
        refused
    };
    for part in 1..=40 {
        let at = good.len() * part / 41;
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (part % 8);
        let refused = try_it(&bytes);
        assert!(matches!(refused, RestoreError::Changed { .. } | RestoreError::CutShort { .. }), "{refused}");
        let refused = try_it(&good[..at]);
        assert!(matches!(refused, RestoreError::CutShort { .. }), "{refused}");
    }
    assert!(matches!(try_it(b""), RestoreError::NoBackup { .. }));
    assert!(matches!(try_it(&[b'x'; 100]), RestoreError::NoBackup { .. }));
    assert!(matches!(try_it(&[good.as_slice(), b"x"].concat()), RestoreError::Changed { .. }));

    fs::write(&file, &good).unwrap();
    let other = dir.path().join("other");
    secret_cipher::SecretCipher::open(&other, None).unwrap();
    let refused = restore(&file, &target, Some(&other), &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, RestoreError::Key { error: KeyError::Wrong, .. }), "{refused}");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("something"), "").unwrap();
    let refused = restore(&file, &target, Some(&key), &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty { .. }), "{refused}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    fs::remove_file(target.join("something")).unwrap();
    restore(&file, &target, Some(&key), &mut |_, _, _| {}).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unread_backup_does_not_block_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let rig = filled(dir.path()).await;
    let mut backup = Backup::new(rig.reader.clone(), EPOCH);
    assert!(rig.step(|place, done| place.begin_backup(&backup, done)).await.unwrap());
    for _ in 0..70 {
        let large = Append { content: content(None, 1 << 20), targets: Vec::new() };
        rig.append(vec![large]).await.unwrap();
    }
    assert!(matches!(backup.next_rows(), Err(BackupError::Overrun)));
    drop(backup);
    let next = Backup::new(rig.reader.clone(), EPOCH);
    assert!(rig.step(|place, done| place.begin_backup(&next, done)).await.unwrap());
    drop(next);
    rig.close().await.unwrap();
}
