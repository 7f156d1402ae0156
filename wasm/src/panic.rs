//! What a panic leaves behind: its message, for a module that stops at a bare `unreachable` otherwise.

use std::cell::RefCell;
use std::sync::Once;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the message of a panic from now on.
pub(crate) fn keep_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            LAST.with(|last| last.replace(Some(info.to_string())));
        }));
    });
}

/// The message of the panic that ended this module, once it has thrown; nothing when none did.
#[wasm_bindgen(js_name = takePanic)]
pub fn take_panic() -> Option<String> {
    LAST.with(RefCell::take)
}
