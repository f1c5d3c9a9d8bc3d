//! Statements with their arguments, and rows of answers.

use std::borrow::Cow;

use mcp_gw_core::RawJson;

use crate::error::{Result, StoreError};
use crate::values::{Revision, Time};

/// An argument of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement with arguments `$1`, `$2` and so on.
#[derive(Debug, Clone)]
pub(crate) struct Query<'q> {
    pub(crate) sql: Cow<'q, str>,
    pub(crate) values: Vec<Value>,
}

impl<'q> Query<'q> {
    pub(crate) fn new(sql: impl Into<Cow<'q, str>>) -> Self {
        let (sql, values) = (sql.into(), Vec::new());
        Self { sql, values }
    }

    fn with(mut self, value: Value) -> Self {
        self.values.push(value);
        self
    }

    pub(crate) fn int(self, number: i64) -> Self {
        self.with(Value::Int(Some(number)))
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.int(i64::from(flag))
    }

    pub(crate) fn time(self, time: Time) -> Self {
        self.int(time.as_micros())
    }

    pub(crate) fn maybe_time(self, time: Option<Time>) -> Self {
        self.with(Value::Int(time.map(Time::as_micros)))
    }

    pub(crate) fn text(self, text: impl Into<String>) -> Self {
        self.with(Value::Text(Some(text.into())))
    }

    pub(crate) fn maybe_text(self, text: Option<&str>) -> Self {
        self.with(Value::Text(text.map(str::to_owned)))
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.with(Value::Bytes(Some(bytes.to_vec())))
    }

    pub(crate) fn maybe_bytes(self, bytes: Option<&[u8]>) -> Self {
        self.with(Value::Bytes(bytes.map(<[u8]>::to_vec)))
    }

    /// As a JSON array.
    pub(crate) fn list(self, items: &[String]) -> Self {
        // Text always becomes JSON.
        let text = serde_json::to_string(items).unwrap_or_default();
        self.text(text)
    }

    /// Appends to the statement; the next argument is that of this number.
    pub(crate) fn push(&mut self, sql: &str) {
        self.sql.to_mut().push_str(sql);
    }

    /// One row more than these, to know whether there are more.
    pub(crate) fn at_most(mut self, limit: usize) -> Self {
        self.push(&format!(" LIMIT {}", limit.saturating_add(1)));
        self
    }

    /// Appends a condition on one argument, which is written as `{}`.
    pub(crate) fn narrow(mut self, condition: &str) -> Self {
        let word = if self.sql.contains(" WHERE ") {
            " AND "
        } else {
            " WHERE "
        };
        let number = format!("${}", self.values.len() + 1);
        self.push(word);
        self.push(&condition.replace("{}", &number));
        self
    }
}

/// A cell of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Row(Vec<Cell>);

impl Row {
    pub(crate) const fn new(cells: Vec<Cell>) -> Self {
        Self(cells)
    }

    pub(crate) fn reader(self) -> Reader {
        Reader(self.0.into_iter())
    }
}

/// Reads a row from left to right.
#[derive(Debug)]
pub(crate) struct Reader(std::vec::IntoIter<Cell>);

fn odd(wanted: &str) -> StoreError {
    StoreError::damaged(format!("a column holds no {wanted}"))
}

impl Reader {
    pub(crate) fn int(&mut self) -> Result<i64> {
        self.maybe_int()?.ok_or_else(|| odd("number"))
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Cell::Int(number)) => Ok(Some(number)),
            Some(Cell::Null) => Ok(None),
            _ => Err(odd("number")),
        }
    }

    pub(crate) fn count(&mut self) -> Result<u64> {
        u64::try_from(self.int()?).map_err(|_| odd("count"))
    }

    pub(crate) fn small(&mut self) -> Result<u32> {
        u32::try_from(self.int()?).map_err(|_| odd("small count"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.int()? != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Time> {
        self.int().map(Time::from_micros)
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Time>> {
        Ok(self.maybe_int()?.map(Time::from_micros))
    }

    pub(crate) fn revision(&mut self) -> Result<Revision> {
        self.int().map(Revision::new)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        self.maybe_text()?.ok_or_else(|| odd("text"))
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            _ => Err(odd("text")),
        }
    }

    pub(crate) fn maybe_bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        match self.0.next() {
            Some(Cell::Bytes(bytes)) => {
                Some(bytes.try_into().map_err(|_| odd("bytes of this length"))).transpose()
            }
            Some(Cell::Null) => Ok(None),
            _ => Err(odd("bytes")),
        }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.maybe_bytes()?.ok_or_else(|| odd("bytes"))
    }

    pub(crate) fn list(&mut self) -> Result<Vec<String>> {
        serde_json::from_str(&self.text()?).map_err(|_| odd("list"))
    }

    pub(crate) fn maybe_json(&mut self) -> Result<Option<RawJson>> {
        let text = self.maybe_text()?;
        text.map(|text| RawJson::parse(text).map_err(|_| odd("JSON")))
            .transpose()
    }

    /// One of the names of an enum.
    pub(crate) fn named<T>(&mut self, from_name: fn(&str) -> Option<T>) -> Result<T> {
        let name = self.text()?;
        from_name(&name).ok_or_else(|| odd("name that is known"))
    }
}
