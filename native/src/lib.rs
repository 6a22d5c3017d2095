//! OTLP bytes to columns: the wire-format walk behind `consumer/decode/native.py`.
//!
//! The Python twin, `consumer/decode/python.py`, gives the same columns; the contract and
//! property tests hold the two together. The module's interface is `spanmill_native.pyi`.

#![deny(unsafe_code)]

pub mod adding;
pub mod batch;
pub mod columns;
pub mod dictionary;
pub mod faults;
pub mod grouping;
pub mod ids;
pub mod measure;
pub mod normalise;
pub mod pairing;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
mod python_series;
#[cfg(feature = "python")]
mod python_tables;
pub mod schema;
pub mod series;
pub mod shape;
pub mod slots;
pub mod span;
pub mod value;
pub mod wanted;
pub mod wire;
