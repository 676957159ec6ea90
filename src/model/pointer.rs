//! Reference tokens of JSON Pointers (RFC 6901), the paths that name members in problems.

/// Escapes a member's name for use as one token of a pointer: `~` becomes `~0`, and `/` becomes `~1`.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the member's name that a token of a pointer stands for. This is the inverse of [`escape`].
pub fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_read_back() {
        for (name, token) in [("a", "a"), ("a/b", "a~1b"), ("~1", "~01"), ("", ""), ("/~", "~1~0")] {
            assert_eq!(escape(name), token);
            assert_eq!(unescape(token), name);
        }
    }
}
