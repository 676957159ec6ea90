//! Turns panics of sled into errors. sled panics on some damaged files.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// The message of the last panic on this thread, while panics are caught.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Installs a panic hook that silences the panics that are caught here, and passes the others on.
fn install_hook() {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_caught = CAUGHT.with(|caught| match &mut *caught.borrow_mut() {
                Some(text) => {
                    *text = info.to_string();
                    true
                }
                None => false,
            });
            if !is_caught {
                before(info);
            }
        }));
    });
}

/// Calls a function that may panic on damaged data.
///
/// # Errors
/// The message of the panic, on one line.
pub(in crate::store) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    CAUGHT.set(Some(String::new()));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    let said = CAUGHT.take().unwrap_or_default();
    done.map_err(|_| said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_nothing_else_changes() {
        assert_eq!(catch(|| 7), Ok(7));
        let said = catch(|| panic!("torn\n  page {}", 3)).unwrap_err();
        assert!(said.contains("torn page 3") && said.contains("guard.rs"), "{said}");
        assert!(CAUGHT.with_borrow(Option::is_none));
    }
}
