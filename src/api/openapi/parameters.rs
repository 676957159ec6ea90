//! Parameters that several routes share in the OpenAPI document.
