//! QR codes in PNG and JPEG pictures: screenshots, saved codes, and photographs of a screen.

use std::cell::Cell;
use std::io::Cursor;
use std::panic;
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use keyfob_qr::picture::Picture;
use zeroize::Zeroizing;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::error::ImportError;

/// Most pixels of a picture.
const MAX_PIXELS: u64 = 64 << 20;
/// Most bytes that the PNG decoder may take for itself, the picture aside.
const MAX_PNG_MEMORY: usize = 64 << 20;
/// Most scans of a progressive JPEG. Programs write about ten; each costs as much as a picture.
const MAX_SCANS: usize = 32;

/// How long codes are looked for. Pictures of real codes take a hundredth of it; noise, and pictures full of finder
/// patterns, take the decoder hours.
const TIME: Duration = Duration::from_secs(10);

/// The texts of QR codes.
type Texts = Result<Vec<Zeroizing<String>>, ImportError>;

/// The texts of the QR codes in a picture, from top to bottom, then from left to right. At least one.
pub(super) fn read(bytes: &[u8]) -> Texts {
    let bytes = Zeroizing::new(bytes.to_vec());
    guarded(move || find(&bytes))
}

fn find(bytes: &[u8]) -> Texts {
    let grey = if bytes.starts_with(b"\x89PNG") { Grey::from_png(bytes)? } else { Grey::from_jpeg(bytes)? };
    let codes = Picture::new(&grey.pixels, grey.width).ok_or(ImportError::PictureSize)?.codes();
    match codes.unreadable {
        0 if codes.texts.is_empty() => Err(ImportError::NoQrCode),
        0 => Ok(codes.texts),
        unreadable => Err(ImportError::UnreadableQrCode(unreadable)),
    }
}

thread_local! {
    /// Where a thread of [`guarded`] answers. None in every other thread.
    static ANSWER: Cell<Option<Sender<Texts>>> = const { Cell::new(None) };
}

/// Runs `work` in a thread of its own, for a limited time, and survives its panic.
///
/// The decoder promises neither for every picture. Where a panic aborts the process, as in releases, only the hook
/// runs before: it lets the thread sleep for ever instead, and no other hook can be set from then on. Such a thread,
/// and one that takes too long, ends with the process.
fn guarded(work: impl FnOnce() -> Texts + Send + 'static) -> Texts {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match ANSWER.take() {
            Some(answer) => {
                drop(answer);
                while cfg!(panic = "abort") {
                    thread::park();
                }
            }
            None => others(info),
        }));
    });
    let (sender, answer) = mpsc::channel();
    thread::Builder::new()
        .name("picture".to_owned())
        .spawn(move || {
            ANSWER.set(Some(sender));
            let texts = work();
            if let Some(sender) = ANSWER.take() {
                // Nobody listens any more when it took too long.
                let _ = sender.send(texts);
            }
        })
        .map_err(|_| ImportError::Picture("there is no thread to read it in"))?;
    answer.recv_timeout(TIME).unwrap_or_else(|error| {
        Err(ImportError::Picture(match error {
            RecvTimeoutError::Timeout => "its QR codes are not found in reasonable time; cut them out",
            RecvTimeoutError::Disconnected => "its QR codes cannot be made out",
        }))
    })
}

/// A picture in shades of grey, row by row.
struct Grey {
    width: usize,
    pixels: Zeroizing<Vec<u8>>,
}

impl Grey {
    fn from_png(bytes: &[u8]) -> Result<Self, ImportError> {
        let broken = |error: png::DecodingError| match error {
            png::DecodingError::LimitsExceeded => ImportError::PictureSize,
            _ => ImportError::Picture("not a whole PNG"),
        };
        let limits = png::Limits { bytes: MAX_PNG_MEMORY };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let header = decoder.read_header_info().map_err(broken)?;
        check_size(header.width.into(), header.height.into())?;
        let mut reader = decoder.read_info().map_err(broken)?;
        let mut buffer =
            Zeroizing::new(vec![0; reader.output_buffer_size().ok_or(ImportError::PictureSize)?]);
        let frame = reader.next_frame(&mut buffer).map_err(broken)?;
        // What is transparent is shown on white.
        let on_white = |shade: u8, alpha: u8| {
            let mixed = (u32::from(shade) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        let pixels = match frame.color_type {
            png::ColorType::Grayscale => buffer,
            png::ColorType::GrayscaleAlpha => map(&buffer, |[y, a]| on_white(y, a)),
            png::ColorType::Rgb => map(&buffer, luma),
            png::ColorType::Rgba => map(&buffer, |[r, g, b, a]| on_white(luma([r, g, b]), a)),
            png::ColorType::Indexed => {
                return Err(ImportError::Picture("a PNG with a palette that is missing"));
            }
        };
        Self::new(frame.width as usize, frame.height as usize, pixels)
    }

    fn from_jpeg(bytes: &[u8]) -> Result<Self, ImportError> {
        let broken = |_| ImportError::Picture("not a whole JPEG");
        let options = DecoderOptions::default()
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX))
            .jpeg_set_max_scans(MAX_SCANS)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(broken)?;
        let info = decoder.info().ok_or(ImportError::Picture("a JPEG without a size"))?;
        check_size(info.width.into(), info.height.into())?;
        let buffer = Zeroizing::new(decoder.decode().map_err(broken)?);
        let pixels = match decoder.output_colorspace() {
            Some(ColorSpace::Luma) => buffer,
            _ => map(&buffer, luma),
        };
        Self::new(info.width.into(), info.height.into(), pixels)
    }

    fn new(width: usize, height: usize, pixels: Zeroizing<Vec<u8>>) -> Result<Self, ImportError> {
        if width > 0 && height > 0 && pixels.len() == width * height {
            Ok(Self { width, pixels })
        } else {
            Err(ImportError::Picture("its size is not what it says"))
        }
    }
}

fn check_size(width: u64, height: u64) -> Result<(), ImportError> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        Some(0) => Err(ImportError::Picture("it has no pixels")),
        _ => Err(ImportError::PictureSize),
    }
}

fn map<const N: usize>(bytes: &[u8], shade: impl Fn([u8; N]) -> u8) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.as_chunks::<N>().0.iter().map(|pixel| shade(*pixel)).collect())
}

/// Brightness as the eye has it (ITU-R BT.601).
fn luma([r, g, b]: [u8; 3]) -> u8 {
    u8::try_from((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_endless_work_are_errors() {
        assert_eq!(
            guarded(|| panic!("as a decoder may")),
            Err(ImportError::Picture("its QR codes cannot be made out"))
        );
        assert_eq!(guarded(|| Ok(Vec::new())), Ok(Vec::new()));
    }
}
