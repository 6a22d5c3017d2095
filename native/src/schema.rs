//! The messages of OTLP traces as tables: just enough to check, measure and merge them.
//!
//! Source: opentelemetry-proto 1.9, trace.proto, common.proto and resource.proto.

/// What the bytes of a field mean.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `string` and `bytes`.
    Bytes,
    Bool,
    /// `int32` and enums: written as ten bytes when negative.
    Int32,
    Uint32,
    Int64,
    Fixed32,
    /// `fixed64` and `double`.
    Fixed64,
    Message(&'static Message),
}

impl Kind {
    pub fn wire_type(self) -> u32 {
        match self {
            Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Int64 => 0,
            Kind::Fixed64 => 1,
            Kind::Bytes | Kind::Message(_) => 2,
            Kind::Fixed32 => 5,
        }
    }

    /// A varint as the type holds it.
    pub fn truncate(self, value: u64) -> u64 {
        match self {
            Kind::Bool => u64::from(value != 0),
            Kind::Int32 => value as i32 as u64,
            Kind::Uint32 => u64::from(value as u32),
            _ => value,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Not written when it has its default value; a message is, once it was there.
    Singular,
    Repeated,
    /// The one `oneof` of its message: always written, and replaces the other members.
    Oneof,
}

#[derive(Clone, Copy)]
pub struct Field {
    pub number: u32,
    pub kind: Kind,
    pub rule: Rule,
}

/// Fields in the order of their numbers.
pub struct Message(&'static [Field]);

impl Message {
    /// The field that `tag` names, if its wire type is the field's own.
    pub fn field(&self, tag: u32) -> Option<&'static Field> {
        let number = tag >> 3;
        self.0
            .iter()
            .find(|field| field.number == number)
            .filter(|field| field.kind.wire_type() == tag & 7)
    }
}

const fn one(number: u32, kind: Kind) -> Field {
    Field { number, kind, rule: Rule::Singular }
}

const fn many(number: u32, kind: Kind) -> Field {
    Field { number, kind, rule: Rule::Repeated }
}

const fn either(number: u32, kind: Kind) -> Field {
    Field { number, kind, rule: Rule::Oneof }
}

pub static ANY_VALUE: Message = Message(&[
    either(1, Kind::Bytes),
    either(2, Kind::Bool),
    either(3, Kind::Int64),
    either(4, Kind::Fixed64),
    either(5, Kind::Message(&ARRAY_VALUE)),
    either(6, Kind::Message(&KEY_VALUE_LIST)),
    either(7, Kind::Bytes),
    either(8, Kind::Int32),
]);

static ARRAY_VALUE: Message = Message(&[many(1, Kind::Message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = Message(&[many(1, Kind::Message(&KEY_VALUE))]);

pub static KEY_VALUE: Message =
    Message(&[one(1, Kind::Bytes), one(2, Kind::Message(&ANY_VALUE)), one(3, Kind::Int32)]);

pub static SCOPE: Message = Message(&[
    one(1, Kind::Bytes),
    one(2, Kind::Bytes),
    many(3, Kind::Message(&KEY_VALUE)),
    one(4, Kind::Uint32),
]);

pub static ENTITY_REF: Message = Message(&[
    one(1, Kind::Bytes),
    one(2, Kind::Bytes),
    many(3, Kind::Bytes),
    many(4, Kind::Bytes),
]);

pub static RESOURCE: Message = Message(&[
    many(1, Kind::Message(&KEY_VALUE)),
    one(2, Kind::Uint32),
    many(3, Kind::Message(&ENTITY_REF)),
]);

pub static EVENT: Message = Message(&[
    one(1, Kind::Fixed64),
    one(2, Kind::Bytes),
    many(3, Kind::Message(&KEY_VALUE)),
    one(4, Kind::Uint32),
]);

pub static LINK: Message = Message(&[
    one(1, Kind::Bytes),
    one(2, Kind::Bytes),
    one(3, Kind::Bytes),
    many(4, Kind::Message(&KEY_VALUE)),
    one(5, Kind::Uint32),
    one(6, Kind::Fixed32),
]);

pub static STATUS: Message = Message(&[one(2, Kind::Bytes), one(3, Kind::Int32)]);

pub static SPAN: Message = Message(&[
    one(1, Kind::Bytes),
    one(2, Kind::Bytes),
    one(3, Kind::Bytes),
    one(4, Kind::Bytes),
    one(5, Kind::Bytes),
    one(6, Kind::Int32),
    one(7, Kind::Fixed64),
    one(8, Kind::Fixed64),
    many(9, Kind::Message(&KEY_VALUE)),
    one(10, Kind::Uint32),
    many(11, Kind::Message(&EVENT)),
    one(12, Kind::Uint32),
    many(13, Kind::Message(&LINK)),
    one(14, Kind::Uint32),
    one(15, Kind::Message(&STATUS)),
    one(16, Kind::Fixed32),
]);
