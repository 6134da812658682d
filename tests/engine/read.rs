//! Plans of reading, as text: what a query needs reaches the scan, and the scan reads no more.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use sheaf_connectors::read::{ReadOptions, open};
use sheaf_connectors::stores::Stores;
use tempfile::TempDir;

/// Two years of Parquet in folders, as the table `t`.
async fn table() -> (TempDir, SessionContext) {
    let folder = tempfile::tempdir().unwrap();
    for year in [2013, 2014] {
        let below = folder.path().join(format!("year={year}"));
        std::fs::create_dir(&below).unwrap();
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let word: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|n| format!("word {n}"))));
        let batch = RecordBatch::try_from_iter([("n", n), ("word", word)]).unwrap();
        let file = std::fs::File::create(below.join("part.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let stores = Stores::new();
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(Arc::clone(&stores) as _).build_arc().unwrap();
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let path = folder.path().to_str().unwrap().to_string();
    let table = open(&context.state(), &stores, &[path], &ReadOptions::default()).await.unwrap();
    context.register_table("t", table).unwrap();
    (folder, context)
}

async fn plan(folder: &TempDir, context: &SessionContext, query: &str) -> String {
    let plan = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    let text = displayable(plan.as_ref()).indent(true).to_string();
    text.replace(folder.path().to_str().unwrap().trim_start_matches('/'), "FOLDER")
}

#[tokio::test]
async fn projection_and_filter_reach_the_scan() {
    let (folder, context) = table().await;
    let text = plan(&folder, &context, "select word from t where n > 90").await;
    insta::assert_snapshot!(text, @r"
    FilterExec: n@0 > 90, projection=[word@1]
      DataSourceExec: file_groups={1 group: [[FOLDER/year=2013/part.parquet, FOLDER/year=2014/part.parquet]]}, projection=[n, word], file_type=parquet, predicate=n@0 > 90, pruning_predicate=n_null_count@1 != row_count@2 AND n_max@0 > 90, required_guarantees=[]
    ");
}

#[tokio::test]
async fn folders_are_pruned_in_the_plan() {
    let (folder, context) = table().await;
    let text = plan(&folder, &context, "select n, year from t where year = 2014").await;
    insta::assert_snapshot!(text, @"DataSourceExec: file_groups={1 group: [[FOLDER/year=2014/part.parquet]]}, projection=[n, year], file_type=parquet");
}

#[tokio::test]
async fn a_limit_reaches_the_scan() {
    let (folder, context) = table().await;
    let text = plan(&folder, &context, "select n from t limit 3").await;
    insta::assert_snapshot!(text, @"DataSourceExec: file_groups={1 group: [[FOLDER/year=2013/part.parquet]]}, projection=[n], limit=3, file_type=parquet");
}

#[tokio::test]
async fn statistics_answer_a_count_in_the_plan() {
    let (folder, context) = table().await;
    let text = plan(&folder, &context, "select count(*) from t").await;
    insta::assert_snapshot!(text, @r"
    ProjectionExec: expr=[200 as count(*)]
      PlaceholderRowExec
    ");
}
