//! What is written is read back, by the library's reader.

use super::*;
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};

/// A row of a file: series, time, bits of the value, and the bucket's width and bits of its extremes.
type Seen = (String, i64, u64, Option<(i64, u64, u64)>);

fn written(series: &[&str], pieces: &[Vec<Row>]) -> SerializedFileReader<Bytes> {
    let series: Vec<String> = series.iter().map(ToString::to_string).collect();
    let mut file = Vec::new();
    let mut columns = Columns::new(&mut file, "web-1", &series).expect("begun");
    for piece in pieces {
        columns.take(piece).expect("taken");
    }
    columns.end().expect("ended");
    SerializedFileReader::new(Bytes::from(file)).expect("a file")
}

fn seen(file: &SerializedFileReader<Bytes>) -> Vec<Seen> {
    let rows = file.get_row_iter(None).expect("rows").map(|row| row.expect("a row"));
    rows.map(|row| {
        assert_eq!(row.get_string(0).expect("an agent"), "web-1");
        let fields: Vec<Field> = row.get_column_iter().skip(4).map(|(_, field)| field.clone()).collect();
        let bucket = match *fields {
            [Field::Null, Field::Null, Field::Null] => None,
            [Field::Long(width), Field::Double(min), Field::Double(max)] => Some((width, min.to_bits(), max.to_bits())),
            _ => panic!("half a bucket: {fields:?}"),
        };
        let time = row.get_timestamp_millis(2).expect("a time");
        (row.get_string(1).expect("a metric").clone(), time, row.get_double(3).expect("a value").to_bits(), bucket)
    })
    .collect()
}

fn raw(t: i64, values: &[f64]) -> Row {
    Row { t, v: values.iter().map(|value| value.to_bits()).collect(), bucket: None }
}

#[test]
fn values_keep_their_bits_and_buckets_their_extremes() {
    let odd = [-0.0, 0.1 + 0.2, f64::INFINITY, f64::MIN_POSITIVE / 8.0];
    let mut rows: Vec<Row> = (-1_i64..).zip(odd).map(|(t, value)| raw(t, &[f64::NAN, value])).collect();
    let bucket = Bucket { width_ms: 300_000, min: vec![1.0_f64.to_bits(), 0], max: vec![3.0_f64.to_bits(), 0] };
    rows.push(Row { bucket: Some(bucket), ..raw(300_000, &[2.0, f64::NAN]) });
    let file = written(&["a.b", "load.avg_1m"], &[rows[..2].to_vec(), Vec::new(), rows[2..].to_vec()]);
    let mut expected: Vec<Seen> =
        vec![("a.b".to_owned(), 300_000, 2.0_f64.to_bits(), { Some((300_000, 1.0_f64.to_bits(), 3.0_f64.to_bits())) })];
    expected.extend((-1_i64..).zip(odd).map(|(t, value)| ("load.avg_1m".to_owned(), t, value.to_bits(), None)));
    assert_eq!(seen(&file), expected);
}

#[test]
fn a_long_history_comes_in_row_groups_of_which_none_is_large() {
    let (rows, width) = (2 * i32::try_from(GROUP_ROWS).expect("few") / 3 + 7, 3);
    let pieces: Vec<Vec<Row>> = (0..rows)
        .map(|t| raw(i64::from(t) * 1_000, &[f64::from(t), -f64::from(t), f64::from(t % 7)]))
        .collect::<Vec<_>>()
        .chunks(5_000)
        .map(<[Row]>::to_vec)
        .collect();
    let file = written(&["a.x", "a.y", "a.z"], &pieces);
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    let limit = i64::try_from(GROUP_ROWS + width).expect("few");
    assert!(groups.iter().all(|rows| *rows < limit) && groups.iter().sum::<i64>() == i64::from(rows) * 3, "{groups:?}");
    let mut seen = seen(&file);
    seen.sort();
    let value = |name: &str, t: i32| match name {
        "a.x" => f64::from(t),
        "a.y" => -f64::from(t),
        _ => f64::from(t % 7),
    };
    let expected = ["a.x", "a.y", "a.z"]
        .into_iter()
        .flat_map(|name| (0..rows).map(move |t| (name.to_owned(), i64::from(t) * 1_000, value(name, t).to_bits(), None)));
    assert!(seen.into_iter().eq(expected));
}

#[test]
fn a_history_without_values_is_a_file_without_rows() {
    assert!(seen(&written(&[], &[])).is_empty());
    let file = written(&["a.b"], &[vec![raw(1, &[f64::NAN])]]);
    assert_eq!((file.metadata().num_row_groups(), seen(&file)), (0, Vec::new()));
}

#[test]
fn times_are_utc_and_texts_are_text_to_any_reader() {
    let file = written(&[], &[]);
    let schema = file.metadata().file_metadata().schema_descr();
    let kinds: Vec<String> = (0..schema.num_columns())
        .map(|at| format!("{} {:?}", schema.column(at).name(), schema.column(at).logical_type_ref()))
        .collect();
    assert_eq!(kinds[1], "metric Some(String)");
    assert!(
        kinds[2].starts_with("ts Some(Timestamp") && kinds[2].contains("true") && kinds[2].contains("MILLIS"),
        "{}",
        kinds[2]
    );
    let names: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["agent", "metric", "ts", "value", "bucket_ms", "min", "max"]);
}
