//! History as Parquet: the values of the CSV to the bit, with a hub running and without one; and what a build without it says.

use crate::on;
use crate::support::hub::{Hub, Start, on_data};
use std::fmt::Write as _;
use std::path::Path;

/// Two days of two metrics, of which the second comes every other time.
fn table() -> String {
    let mut text = "time_utc,cpu.usage_percent,load.avg_1m\n".to_owned();
    for i in 0..2_880_i32 {
        let (day, hour, minute) = (14 + i / 1_440, i / 60 % 24, i % 60);
        let load = if i % 2 == 0 { (f64::from(i) / 7.0).to_string() } else { String::new() };
        writeln!(text, "2014-02-{day:02} {hour:02}:{minute:02}:00,{},{load}", f64::from(i * i % 997) / 10.0).unwrap();
    }
    text
}

fn import(data: &Path, folder: &Path) {
    let file = folder.join("two.csv");
    std::fs::write(&file, table()).unwrap();
    let said = on_data(data, &["import", "--agent", "old 01", "--csv", file.to_str().unwrap(), "--keep"]);
    assert!(said.contains("2880 stored"), "{said}");
}

#[cfg(feature = "parquet")]
mod built {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, RowAccessor};
    use rustix::process::Signal;

    /// Series, time in milliseconds, bits.
    type Values = Vec<(String, i64, u64)>;

    /// The cells of a CSV, series by series.
    fn cells(table: &str) -> Values {
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next().unwrap().split(',').skip(1).collect();
        let mut all = Values::new();
        for line in lines {
            let mut cells = line.split(',');
            let time = chrono::DateTime::parse_from_rfc3339(cells.next().unwrap()).unwrap().timestamp_millis();
            let full = names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            all.extend(full.map(|(name, cell)| ((*name).to_owned(), time, cell.parse::<f64>().unwrap().to_bits())));
        }
        all.sort();
        all
    }

    /// The values of a file, and how many of its rows are buckets whose mean lies between their extremes.
    fn rows(file: &Path) -> (Values, usize) {
        let file = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
        let (mut all, mut buckets) = (Values::new(), 0);
        for row in file.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let value = row.get_double(3).unwrap();
            assert_eq!(row.get_string(0).unwrap(), "old 01");
            all.push((row.get_string(1).unwrap().clone(), row.get_timestamp_millis(2).unwrap(), value.to_bits()));
            let extremes: Vec<&Field> = row.get_column_iter().skip(4).map(|(_, field)| field).collect();
            match *extremes {
                [Field::Long(300_000), Field::Double(min), Field::Double(max)] if *min <= value && value <= *max => buckets += 1,
                [Field::Null, Field::Null, Field::Null] => {}
                _ => panic!("{row}"),
            }
        }
        all.sort();
        (all, buckets)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_parquet_file_holds_the_values_of_the_csv() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut hub = Hub::start(Start::serve(&data)).await;
        import(&data, folder.path());
        for (round, running) in [true, false].into_iter().enumerate() {
            if !running {
                hub.end(Signal::TERM).await;
            }
            for (tier, values, buckets) in [("raw", 2_880 + 1_440, 0), ("5m", 2 * 576, 2 * 576)] {
                let out = folder.path().join(format!("{tier}{round}.parquet"));
                let base = ["export", "history", "--agent", "old 01", "--tier", tier];
                let csv = cells(&on_data(&data, &base));
                on_data(&data, &[&base[..], &["--format", "parquet", "--out", out.to_str().unwrap()]].concat());
                assert_eq!(csv.len(), values);
                assert_eq!(rows(&out), (csv, buckets), "{tier}, running: {running}");
                let piped = on(&data, &[&base[..], &["--format", "parquet"]].concat());
                assert!(piped.status.success() && piped.stdout == std::fs::read(&out).unwrap());
            }
        }
        let all = folder.path().join("all");
        on_data(&data, &["export", "history", "--format", "parquet", "--metrics", "load.avg_1m", "--out", all.to_str().unwrap()]);
        let files: Vec<_> = std::fs::read_dir(&all).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].extension().unwrap(), "parquet");
        let (values, _) = rows(&files[0]);
        assert!(values.len() == 1_440 && values.iter().all(|(name, ..)| name == "load.avg_1m"));
    }
}

#[cfg(not(feature = "parquet"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_parquet_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("all"));
    drop(Hub::start(Start::serve(&data)).await);
    import(&data, folder.path());
    let words = ["export", "history", "--format", "parquet", "--out", out.to_str().unwrap()];
    crate::refused(&on(&data, &words), &["no Parquet", "--features parquet"]);
    assert!(!out.exists());
}
