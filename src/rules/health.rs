//! What an attempt says of a subscription's receiver.
