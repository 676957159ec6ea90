//! sled panics on some damaged files; at opening that becomes an answer.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// What the last panic on this thread said, while panics are caught here.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Puts a hook before the one that prints panics: those that are caught here are not printed.
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

/// Does work that may panic on what it reads.
///
/// # Errors
/// What the panic said, on one line.
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
