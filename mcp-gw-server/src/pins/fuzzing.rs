//! The fuzz targets of pins.

use mcp_gw_core::RawJson;

use super::canonical::canonical;
use super::file::PinsFile;

/// A file is refused or it is read, and what is written of it reads back as the same.
///
/// # Panics
/// When that is not so.
pub(crate) fn file(data: &[u8]) {
    if let Ok(file) = PinsFile::parse(data.to_vec()) {
        let written = file.write();
        assert_eq!(
            PinsFile::parse(written.clone().into_bytes()).ok(),
            Some(file),
            "{written}"
        );
    }
}

/// The canonical form means the same as the text, and is its own form.
///
/// # Panics
/// When that is not so.
pub(crate) fn canonical_form(data: &[u8]) {
    let Ok(json) = RawJson::parse(data.to_vec()) else {
        return;
    };
    let Some(form) = canonical(&json) else {
        return;
    };
    assert_eq!(
        form.to_value().ok(),
        json.to_value().ok(),
        "{json} became {form}"
    );
    assert_eq!(canonical(&form).as_ref(), Some(&form), "{form}");
}
