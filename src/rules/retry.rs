//! What follows an attempt: when the next is due, or the end.
