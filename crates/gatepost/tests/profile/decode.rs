//! Reads what `write_pprof` writes, written from the description of the format and not from the writer.

use std::collections::HashMap;
use std::io::Read;

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: u64,
}

#[derive(Debug)]
pub(crate) struct Sample {
    /// The innermost first.
    pub(crate) stack: Vec<Function>,
    pub(crate) values: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) sample_types: Vec<(String, String)>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) period_type: (String, String),
    pub(crate) period: u64,
    pub(crate) time_nanos: u64,
    pub(crate) duration_nanos: u64,
    pub(crate) default_type: String,
    pub(crate) comments: Vec<String>,
}

impl Profile {
    pub(crate) fn sums(&self) -> [u64; 2] {
        [0, 1].map(|at| self.samples.iter().map(|sample| sample.values[at]).sum())
    }
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn number(self) -> u64 {
        let Value::Number(number) = self else { panic!("not a number: {self:?}") };
        number
    }

    fn bytes(self) -> &'a [u8] {
        let Value::Bytes(bytes) = self else { panic!("not bytes: {self:?}") };
        bytes
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    unreachable!("the loop has no end")
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            2 => {
                let len = usize::try_from(varint(&mut bytes)).expect("a length");
                let (value, rest) = bytes.split_at(len);
                bytes = rest;
                Value::Bytes(value)
            }
            other => panic!("no such wire type here: {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn one(message: &[u8], field: u64) -> u64 {
    fields(message).into_iter().find(|&(f, _)| f == field).map_or(0, |(_, value)| value.number())
}

fn all(message: &[u8], field: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|&(f, _)| f == field).map(|(_, value)| value.bytes()).collect()
}

fn packed(mut bytes: &[u8]) -> Vec<u64> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(varint(&mut bytes));
    }
    values
}

/// Decompresses and decodes a file.
pub(crate) fn profile(file: &[u8]) -> Profile {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    let texts = all(&bytes, 6);
    let text = |at: u64| {
        let text = texts[usize::try_from(at).expect("an index")];
        String::from_utf8(text.to_vec()).expect("UTF-8")
    };
    assert_eq!(text(0), "", "the first is the empty one");
    let value_type = |message: &[u8]| (text(one(message, 1)), text(one(message, 2)));
    let functions: HashMap<u64, &[u8]> = all(&bytes, 5).into_iter().map(|f| (one(f, 1), f)).collect();
    let mappings = all(&bytes, 3);
    assert_eq!(mappings.len(), 1);
    let locations: HashMap<u64, &[u8]> = all(&bytes, 4).into_iter().map(|l| (one(l, 1), l)).collect();
    let lines = |location: u64| {
        let location = locations[&location];
        assert_eq!(one(location, 2), one(mappings[0], 1), "of the one mapping");
        let line = |line: &[u8]| {
            let function = functions[&one(line, 1)];
            Function { name: text(one(function, 2)), file: text(one(function, 4)), line: one(line, 2) }
        };
        all(location, 4).into_iter().map(line).collect::<Vec<_>>()
    };
    let sample = |message: &[u8]| {
        let stack = packed(all(message, 1)[0]).into_iter().flat_map(lines).collect();
        Sample { stack, values: packed(all(message, 2)[0]) }
    };
    let comments =
        fields(&bytes).into_iter().filter(|&(f, _)| f == 13).map(|(_, value)| text(value.number())).collect();
    Profile {
        sample_types: all(&bytes, 1).into_iter().map(value_type).collect(),
        samples: all(&bytes, 2).into_iter().map(sample).collect(),
        period_type: value_type(all(&bytes, 11)[0]),
        period: one(&bytes, 12),
        time_nanos: one(&bytes, 9),
        duration_nanos: one(&bytes, 10),
        default_type: text(one(&bytes, 14)),
        comments,
    }
}
