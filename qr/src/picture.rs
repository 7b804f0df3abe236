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
    /// Its darkest shade and its lightest: greyed-out codes are dark on light as others are.
    range: (u8, u8),
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
        let range = (*pixels.iter().min()?, *pixels.iter().max()?);
        (height * width == pixels.len()).then_some(Self { width, height, pixels, range })
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

    /// The mean of a square of `side` pixels, so that thin lines do not vanish; 0 is the picture's darkest shade.
    fn mean(&self, x: usize, y: usize, side: usize) -> u8 {
        let rows = (y..y + side).filter_map(|y| self.pixels.get(y * self.width + x..)?.get(..side));
        let sum: usize = rows.flatten().map(|&shade| usize::from(shade)).sum();
        let (darkest, lightest) = (usize::from(self.range.0), usize::from(self.range.1));
        let above = (sum / (side * side)).saturating_sub(darkest);
        u8::try_from(above * 255 / (lightest - darkest).max(1)).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draw::draw;

    /// How a code is shown: pixels of a module, degrees that it is turned, its two shades, margin in modules, how many in
    /// a thousand pixels are something else.
    #[derive(Debug, Clone, Copy)]
    struct Look {
        module: usize,
        degrees: f64,
        dark: u8,
        light: u8,
        margin: usize,
        noise: u64,
    }

    const PLAIN: Look = Look { module: 4, degrees: 0.0, dark: 0, light: 255, margin: 4, noise: 0 };

    /// A square picture of a code, and its width.
    fn show(text: &str, look: Look) -> (Vec<u8>, usize) {
        let drawing = draw(text).unwrap();
        let side = (drawing.size + 2 * look.margin) * look.module;
        // Turned, it is wider.
        let (sin, cos) = look.degrees.to_radians().sin_cos();
        let width = (side as f64 * (sin.abs() + cos.abs())).ceil() as usize;
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let pixels = (0..width * width).map(|i| {
            let (x, y) = (
                (i % width) as f64 - width as f64 / 2.0 + 0.5,
                (i / width) as f64 - width as f64 / 2.0 + 0.5,
            );
            let module = |at: f64| {
                let at =
                    ((at + side as f64 / 2.0) / look.module as f64).floor() as isize - look.margin as isize;
                usize::try_from(at).ok().filter(|&at| at < drawing.size)
            };
            let dark = match (module(x * cos + y * sin), module(y * cos - x * sin)) {
                (Some(column), Some(row)) => drawing.modules[row * drawing.size + column],
                _ => false,
            };
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 1000 < look.noise {
                true => (random >> 32) as u8,
                false if dark => look.dark,
                false => look.light,
            }
        });
        (pixels.collect(), width)
    }

    fn texts(pixels: &[u8], width: usize) -> Vec<String> {
        Picture::new(pixels, width).unwrap().codes().texts.iter().map(|text| text.to_string()).collect()
    }

    const URI: &str = "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=\
        GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Amazon%20Web%20Services";

    #[test]
    fn codes_as_pages_show_them() {
        #[track_caller]
        fn check(look: Look) {
            let (pixels, width) = show(URI, look);
            assert_eq!(texts(&pixels, width), [URI], "{look:?}");
        }
        check(PLAIN);
        check(Look { module: 1, ..PLAIN });
        check(Look { module: 2, ..PLAIN });
        check(Look { module: 20, ..PLAIN });
        check(Look { margin: 0, ..PLAIN });
        check(Look { dark: 255, light: 0, ..PLAIN });
        check(Look { dark: 230, light: 22, margin: 1, ..PLAIN });
        check(Look { dark: 90, light: 140, ..PLAIN });
        check(Look { noise: 20, module: 6, ..PLAIN });
        for degrees in [3.0, 45.0, 90.0, 180.0, 200.0, 270.0] {
            check(Look { degrees, module: 5, ..PLAIN });
        }
    }

    #[test]
    fn several_codes_from_top_to_bottom() {
        let (one, width) = show("one and some more", PLAIN);
        let (two, same) = show("two and some more", PLAIN);
        assert_eq!(width, same);
        let both: Vec<u8> = one.chunks(width).chain(two.chunks(width)).flatten().copied().collect();
        assert_eq!(texts(&both, width), ["one and some more", "two and some more"]);
        let beside: Vec<u8> = two
            .chunks(width)
            .zip(one.chunks(width))
            .flat_map(|(left, right)| [left, right].concat())
            .collect();
        assert_eq!(texts(&beside, 2 * width), ["two and some more", "one and some more"]);
    }

    #[test]
    fn what_is_readable_beside_what_is_not() {
        let (good, width) = show("one and some more", PLAIN);
        // Finders stay, the data in the middle goes.
        let mut broken = show("two and some more", PLAIN).0;
        let third = 12 * PLAIN.module..width;
        for y in third.clone() {
            for x in third.clone() {
                broken[y * width + x] = u8::from(x / 4 % 2 == y / 4 % 2) * 255;
            }
        }
        let both = [good, broken].concat();
        let codes = Picture::new(&both, width).unwrap().codes();
        let texts: Vec<&str> = codes.texts.iter().map(|text| text.as_str()).collect();
        assert_eq!((texts, codes.unreadable), (vec!["one and some more"], 1));
    }

    #[test]
    fn pictures_without_codes() {
        for (pixels, width) in [
            (vec![0], 1),
            (vec![255; 7], 7),
            (vec![0; 7], 1),
            (vec![128; 100 * 100], 100),
            (vec![0; 3 * 4000], 4000),
            ((0..=255).cycle().take(64 * 64).collect::<Vec<u8>>(), 64),
        ] {
            assert_eq!(texts(&pixels, width), Vec::<String>::new());
        }
        for (pixels, width) in [(&[][..], 0), (&[][..], 5), (&[1][..], 0), (&[1, 2, 3][..], 2), (&[1][..], 2)]
        {
            assert!(Picture::new(pixels, width).is_none());
        }
    }

    #[test]
    fn the_longest_code_is_drawn_and_read() {
        let text: String = ('a'..='z').cycle().take(2953).collect();
        let (pixels, width) = show(&text, PLAIN);
        assert_eq!(texts(&pixels, width), [text.as_str()]);
        assert!(draw(&(text + "a")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_drawn_is_read(text in "[ -~]{1,300}", module in 2_usize..9, inverted: bool) {
            let (dark, light) = if inverted { (240, 16) } else { (16, 240) };
            let (pixels, width) = show(&text, Look { module, dark, light, ..PLAIN });
            prop_assert_eq!(texts(&pixels, width), [text]);
        }
    }
}
