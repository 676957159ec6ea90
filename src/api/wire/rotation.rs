//! Rotations of a subscription's secret.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{GraceText, SecretText};

/// A rotation of a subscription's secret. You may leave out any member, and the body as a whole.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, examples(json!({ "grace": "24h" })))]
pub struct RotationBody {
    /// The time for which earlier secrets keep signing next to the new one, or `"0s"` to revoke all earlier secrets
    /// immediately. The default is `"24h"`.
    #[schema(value_type = Option<GraceText>)]
    grace: Option<String>,
    /// The new secret. If left out, the daemon generates one of the same kind as the current secret.
    #[schema(value_type = Option<SecretText>)]
    secret: Option<String>,
}
