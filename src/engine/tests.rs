//! Tests of single parts of the engine. Whole engines are tested in `tests/simulation` and by the wire cases.
