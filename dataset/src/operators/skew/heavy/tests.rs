//! What sides agree on: from rows enough, whoever asks, and with no row lost.

use std::time::Duration;

use arrow::array::Int64Array;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use futures::channel::mpsc;

use super::*;

#[test]
fn keys_with_half_an_even_share_are_heavy() {
    let seen = |keys: &[(u64, usize)]| {
        let of = |&(key, rows): &(u64, usize)| std::iter::repeat_n(key, rows).collect::<Vec<_>>();
        keys.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(heavy(&[(0..1_000).collect(), (500..900).collect()], 8), Vec::<u64>::new());
    assert_eq!(heavy(&seen(&[(7, 900), (3, 100)]), 4), [7], "a tenth of the rows is less than an eighth");
    assert_eq!(heavy(&seen(&[(7, 900), (3, 100)]), 5), [3, 7], "and as much as a tenth");
    assert_eq!(heavy(&seen(&[(7, FEW_ROWS - 1)]), 8), Vec::<u64>::new(), "too few to say");
    assert_eq!(heavy(&[], 8), Vec::<u64>::new());
}

/// A hundred rows of one key.
fn batch(key: i64) -> RecordBatch {
    let keys = Int64Array::from_iter_values(std::iter::repeat_n(key, 100));
    RecordBatch::try_from_iter([("k", Arc::new(keys) as _)]).unwrap()
}

fn partition(batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(batch(0).schema(), batches))
}

fn agreement(inputs: usize) -> Agreement {
    Agreement::new(vec![Arc::new(Column::new("k", 0))], inputs, 4, false)
}

/// Of what would wait for ever, if something is wrong.
async fn in_time<T>(future: impl Future<Output = Result<T>>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it waits").unwrap()
}

async fn rows(begun: Begun) -> Result<usize> {
    begun.stream().try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) }).await
}

#[tokio::test]
async fn no_partition_is_waited_for_when_the_others_show_enough() {
    let (agreement, context) = (agreement(3), TaskContext::default());
    let (sender, late) = mpsc::unbounded();
    agreement.bring(0, partition(stream::iter((0..10).map(|_| Ok(batch(7))))), &context).unwrap();
    agreement.bring(1, partition(late), &context).unwrap();
    let decision = in_time(agreement.decided(64)).await;
    assert_eq!(decision.heavy_keys(), 1);
    assert!(decision.is_heavy(hashes(batch(7).columns(), 100).unwrap()[0]));
    assert!(!decision.is_heavy(hashes(batch(8).columns(), 100).unwrap()[0]));
    assert!(context.memory_pool().reserved() > 0, "what was looked at is counted");
    // No row is lost: neither of the one that was looked at, nor of one that was waited for, nor of one that came late.
    sender.unbounded_send(Ok(batch(8))).unwrap();
    drop(sender);
    agreement.bring(2, partition(stream::iter([Ok(batch(9))])), &context).unwrap();
    for (at, all) in [1_000, 100, 100].into_iter().enumerate() {
        assert_eq!(rows(agreement.begun(at, &decision).unwrap()).await.unwrap(), all, "partition {at}");
        assert!(agreement.begun(at, &decision).is_err(), "each is taken once");
    }
    assert_eq!(context.memory_pool().reserved(), 0);
}

/// Those who wait for slow rows do not wait for many.
#[tokio::test]
async fn few_rows_of_each_partition_are_enough() {
    let (agreement, context) = (agreement(2), TaskContext::default());
    let slow = || stream::iter((0..4).map(|_| Ok(batch(7)))).chain(stream::pending());
    agreement.bring(0, partition(slow()), &context).unwrap();
    agreement.bring(1, partition(slow()), &context).unwrap();
    let decision = in_time(agreement.decided(8_192)).await;
    assert_eq!(decision.heavy_keys(), 1);
    let seen = agreement.begun(0, &decision).unwrap().seen.len() + agreement.begun(1, &decision).unwrap().seen.len();
    assert!((6..8).contains(&seen), "{seen} batches");
}

#[tokio::test]
async fn whoever_asks_is_told_the_same_also_when_who_asked_first_has_gone() {
    let (agreement, context) = (agreement(1), TaskContext::default());
    assert!(agreement.decision().is_err(), "nobody has asked");
    let (sender, late) = mpsc::unbounded();
    agreement.bring(0, partition(late), &context).unwrap();
    assert!(agreement.decided(64).now_or_never().is_none(), "there is nothing to see yet");
    sender.unbounded_send(Ok(batch(7))).unwrap();
    let decision = agreement.decided(64).await.unwrap();
    assert_eq!(decision.heavy_keys(), 1);
    assert!(Arc::ptr_eq(&decision, &agreement.decision().unwrap()));
    drop(sender);
    assert_eq!(rows(agreement.begun(0, &decision).unwrap()).await.unwrap(), 100);
}

#[tokio::test]
async fn an_error_comes_behind_the_rows_before_it() {
    let (agreement, context) = (agreement(1), TaskContext::default());
    let broken = [Ok(batch(7)), internal_err!("broken"), Ok(batch(8))];
    agreement.bring(0, partition(stream::iter(broken)), &context).unwrap();
    let decision = agreement.decided(1_000).await.unwrap();
    assert_eq!(decision.heavy_keys(), 1);
    let all: Vec<_> = agreement.begun(0, &decision).unwrap().stream().collect().await;
    assert!(matches!(&all[..], [Ok(_), Err(_)]), "{all:?}");
    assert_eq!(context.memory_pool().reserved(), 0);
}
