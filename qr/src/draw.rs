//! Drawing a QR code (ISO/IEC 18004).

use qrcodegen::{QrCode, QrCodeEcc};

/// The text has more bytes than the largest QR code holds: 2953.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too many for a QR code")]
pub struct TooLong(pub usize);

/// A QR code without its margin, which is to be four modules of white on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// Modules on a side: 21 to 177.
    pub size: usize,
    /// `size * size` modules, row by row: whether each is dark.
    pub modules: Vec<bool>,
}

/// Draws `text` in the smallest code that holds it, with all the error correction that fits in there.
///
/// # Errors
/// [`TooLong`].
pub fn draw(text: &str) -> Result<Drawing, TooLong> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).map_err(|_| TooLong(text.len()))?;
    let side = 0..code.size();
    let modules: Vec<bool> = side
        .clone()
        .flat_map(|y| side.clone().map(move |x| (x, y)))
        .map(|(x, y)| code.get_module(x, y))
        .collect();
    Ok(Drawing { size: side.count(), modules })
}
