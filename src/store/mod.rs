//! The durable log in sled: one atomic durable step per public method.
