//! The only wasm-bindgen.
