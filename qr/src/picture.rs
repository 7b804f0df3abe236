//! Reading the QR codes of a picture (ISO/IEC 18004): screenshots, saved codes, photographs of a screen.

use rqrr::PreparedImage;
use zeroize::Zeroizing;

/// Pixels of white that are put around a picture: a code that was cut out closely lacks its margin.
const MARGIN: usize = 16;
/// Most pixels in which codes are looked for: more are made fewer first.
const WORKING_PIXELS: usize = 4 << 20;
/// A code of few pixels is found better when each of them is this many more: up to so many pixels in all.
const ENLARGED: (usize, usize) = (3, 1 << 18);

/// A picture in shades of grey, row by row: 0 is black.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    width: usize,
    height: usize,
    pixels: &'a [u8],
}

/// What was read.
#[derive(Default)]
pub struct Codes {
    /// The texts, from top to bottom, then from left to right.
    pub texts: Vec<Zeroizing<String>>,
    /// How many more codes are there that could not be read.
    pub unreadable: usize,
}

/// How a picture is looked at.
#[derive(Clone, Copy)]
enum Scale {
    Smaller(usize),
    Larger(usize),
}

impl<'a> Picture<'a> {
    /// A picture of `width` pixels a row; none if `pixels` are no whole rows.
    #[must_use]
    pub fn new(pixels: &'a [u8], width: usize) -> Option<Self> {
        let height = pixels.len().checked_div(width)?;
        (height > 0 && height * width == pixels.len()).then_some(Self { width, height, pixels })
    }

    /// Looks for codes until all that are seen can be read.
    ///
    /// May panic, and may take hours: see the crate's documentation. For pictures of real codes it takes hundredths of
    /// a second.
    #[must_use]
    pub fn codes(&self) -> Codes {
        // Photographs are found better when they are smaller, dark themes when they are inverted.
        let base = self.working_scale();
        let small = self.width * self.height * ENLARGED.0 * ENLARGED.0 <= ENLARGED.1;
        let attempts = [
            Some((Scale::Smaller(base), false)),
            Some((Scale::Smaller(2 * base), false)),
            Some((Scale::Smaller(base), true)),
            small.then_some((Scale::Larger(ENLARGED.0), false)),
            small.then_some((Scale::Larger(ENLARGED.0), true)),
            Some((Scale::Smaller(2 * base), true)),
            Some((Scale::Smaller(4 * base), false)),
            (base > 1).then_some((Scale::Smaller(1), false)),
        ];
        let mut best = Codes::default();
        for (scale, inverted) in attempts.into_iter().flatten() {
            let codes = self.look(scale, inverted);
            if !codes.texts.is_empty() && codes.unreadable == 0 {
                return codes;
            }
            let unreadable = best.unreadable.max(codes.unreadable);
            if codes.texts.len() > best.texts.len() {
                best = codes;
            }
            best.unreadable = unreadable;
        }
        best
    }

    /// How many times smaller it is made at least.
    fn working_scale(&self) -> usize {
        (1..).find(|scale| (self.width / scale) * (self.height / scale) <= WORKING_PIXELS).unwrap_or(1)
    }

    fn look(&self, scale: Scale, inverted: bool) -> Codes {
        let (width, height) = match scale {
            Scale::Smaller(by) => (self.width / by, self.height / by),
            Scale::Larger(by) => (self.width * by, self.height * by),
        };
        let shade = |x: usize, y: usize| {
            let (x, y) = match (x.checked_sub(MARGIN), y.checked_sub(MARGIN)) {
                (Some(x), Some(y)) if x < width && y < height => (x, y),
                _ => return u8::MAX,
            };
            let shade = match scale {
                Scale::Smaller(by) => self.mean(x * by, y * by, by),
                Scale::Larger(by) => self.mean(x / by, y / by, 1),
            };
            if inverted { u8::MAX - shade } else { shade }
        };
        let mut image = PreparedImage::prepare_from_greyscale(width + 2 * MARGIN, height + 2 * MARGIN, shade);
        let mut grids = image.detect_grids();
        grids.sort_by_key(|grid| {
            let [corner, ..] = grid.bounds;
            (corner.y, corner.x)
        });
        let texts: Vec<_> =
            grids.iter().filter_map(|grid| Some(Zeroizing::new(grid.decode().ok()?.1))).collect();
        Codes { unreadable: grids.len() - texts.len(), texts }
    }

    /// The mean of a square of `side` pixels, so that thin lines do not vanish.
    fn mean(&self, x: usize, y: usize, side: usize) -> u8 {
        let rows = (y..y + side).filter_map(|y| self.pixels.get(y * self.width + x..)?.get(..side));
        let sum: usize = rows.flatten().map(|&shade| usize::from(shade)).sum();
        u8::try_from(sum / (side * side)).unwrap_or(u8::MAX)
    }
}
