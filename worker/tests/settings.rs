//! The document of the settings is what the code says.

use std::path::Path;

use edge_worker::settings::document;

/// `UPDATE_DOCS=1` writes the document instead of comparing it.
#[test]
fn the_document_of_the_settings_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let command = "UPDATE_DOCS=1 cargo test -p edge-worker --test settings";
    assert!(
        written == document(),
        "`docs/settings.md` is out of date: run `{command}`"
    );
}
