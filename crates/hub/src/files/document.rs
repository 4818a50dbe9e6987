//! TOML text becomes JSON objects, one per declared thing, which remember where in the text each of their fields stands: so the
//! API's own readers judge them, and their faults are told by line and column.

use super::{Fault, Kind, SourceFile};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The top-level list of channels that are made elsewhere and may be named here.
const EXTERNAL: &str = "external_channels";

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A declared object, as JSON, with the place of each field by its JSON pointer; the empty pointer is the object itself.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) file: String,
    pub(super) object: Map<String, Value>,
    places: BTreeMap<String, Place>,
}

impl Entry {
    /// Where `pointer` stands; of what is missing, where the thing stands that lacks it.
    pub(super) fn place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return Place { line: 1, column: 1 },
            }
        }
    }

    /// A fault of the field at `pointer`.
    pub(super) fn fault(&self, pointer: &str, what: impl std::fmt::Display) -> Fault {
        let (place, name) = (self.place(pointer), pointer.trim_start_matches('/').replace('/', "."));
        let what = if name.is_empty() { what.to_string() } else { format!("{name}: {what}") };
        Fault { file: self.file.clone(), line: place.line, column: place.column, what }
    }

    /// The text of a field, if it has one.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.object.get(field)?.as_str()
    }
}

/// What a file declares.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) entries: Vec<Entry>,
    /// Names of channels that are made elsewhere.
    pub(super) external: Vec<String>,
    pub(super) faults: Vec<Fault>,
}

/// Reads all files.
pub(super) fn read(files: &[SourceFile]) -> Declared {
    let mut declared = Declared::default();
    for file in files {
        let mut reading = Reading { file, declared: &mut declared };
        reading.document();
    }
    declared
}

struct Reading<'a> {
    file: &'a SourceFile,
    declared: &'a mut Declared,
}

impl Reading<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.file.text.get(..offset).unwrap_or(&self.file.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    fn fault(&mut self, offset: usize, what: impl Into<String>) {
        let place = self.place(offset);
        self.declared.faults.push(Fault {
            file: self.file.path.clone(),
            line: place.line,
            column: place.column,
            what: what.into(),
        });
    }

    fn document(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(&self.file.text);
        if !errors.is_empty() {
            for error in errors {
                self.fault(error.span().map_or(0, |span| span.start), format!("not TOML: {}", error.message()));
            }
            return;
        }
        let mut tops: Vec<_> = table.get_ref().iter().collect();
        tops.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in tops {
            self.top(name.get_ref(), name.span().start, value);
        }
    }

    fn top(&mut self, name: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        if name == EXTERNAL {
            return self.external(value);
        }
        let Some(kind) = Kind::from_word(name) else {
            let known = Kind::ALL.map(Kind::word);
            let hint = super::nearest::hint(name, known.into_iter().chain([EXTERNAL]));
            return self.fault(at, format!("{name:?} is nothing that files declare: there are {}{hint}", known.join(", ")));
        };
        let Some(items) = value.get_ref().as_array() else {
            return self.fault(at, format!("write [[{name}]]: there may be several"));
        };
        for item in items {
            let Some(table) = item.get_ref().as_table() else {
                self.fault(item.span().start, format!("write [[{name}]] with its fields below"));
                continue;
            };
            let mut places = BTreeMap::from([(String::new(), self.place(item.span().start))]);
            let object = self.table(table, "", &mut places);
            self.declared.entries.push(Entry { kind, file: self.file.path.clone(), object, places });
        }
    }

    fn external(&mut self, value: &Spanned<DeValue<'_>>) {
        let items = value.get_ref().as_array();
        let names = items.map(|items| items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        match names {
            Some(Some(names)) => self.declared.external.extend::<Vec<String>>(names),
            _ => self.fault(value.span().start, format!("{EXTERNAL} is a list of channels' names")),
        }
    }

    fn table(&mut self, table: &DeTable<'_>, base: &str, places: &mut BTreeMap<String, Place>) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, value) in table {
            let key: &str = name.get_ref();
            let pointer = format!("{base}/{}", key.replace('~', "~0").replace('/', "~1"));
            places.insert(pointer.clone(), self.place(name.span().start));
            object.insert(key.to_owned(), self.value(value, &pointer, places));
        }
        object
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, pointer: &str, places: &mut BTreeMap<String, Place>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Table(table) => Value::Object(self.table(table, pointer, places)),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from(number),
                Err(_) => self.no_number(value),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(Number::from_f64) {
                Some(number) => Value::Number(number),
                None => self.no_number(value),
            },
            DeValue::Array(items) => {
                let mut list = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    let pointer = format!("{pointer}/{at}");
                    places.insert(pointer.clone(), self.place(item.span().start));
                    list.push(self.value(item, &pointer, places));
                }
                Value::Array(list)
            }
        }
    }

    fn no_number(&mut self, value: &Spanned<DeValue<'_>>) -> Value {
        self.fault(value.span().start, "is not a finite number of 64 bits");
        Value::Null
    }
}
