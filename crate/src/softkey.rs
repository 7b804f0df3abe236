//! The card's side of YKOATH.
