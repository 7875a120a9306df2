//! Scripts: the comparison with other servers is tested by its own language, on canned results and servers that are none.
//!
//! `tests/scripts/compare.py` holds the tests; `ASPINE_BLESS=1` writes the report they expect anew. Without Python they
//! are left out, unless `ASPINE_REQUIRE_CLIENTS=1`.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_comparison_holds_its_tests() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/compare.py");
    let output = Command::new("python3").arg("-B").arg(tests).stdin(Stdio::null()).output();
    let Ok(output) = output else {
        let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
        assert!(!required, "python3 is not there and ASPINE_REQUIRE_CLIENTS=1");
        eprintln!("left out: python3 is not there");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
