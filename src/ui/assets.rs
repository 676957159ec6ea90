//! The style sheet, the script and the icon. They are part of the executable, and their paths change with
//! their content.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use xxhash_rust::xxh3::xxh3_64;

/// Allows browsers to cache an asset forever, because its path changes with its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        name: "style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("assets/style.css"),
    },
    Asset {
        name: "script.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/script.js"),
    },
    Asset { name: "icon.svg", media_type: "image/svg+xml", content: include_str!("assets/icon.svg") },
];

/// A digest of all assets, which is a part of every asset's path.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = ASSETS.iter().map(|asset| asset.content).collect();
    format!("{:016x}", xxh3_64(all.as_bytes()))
});

/// Returns the path of an asset.
pub(super) fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// Returns the routes of the assets. They need no login, because they contain no data.
pub(super) fn routes() -> Router {
    Router::new().route("/assets/{version}/{name}", get(serve))
}

async fn serve(Path((_, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("W/\"{}\"", *VERSION);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let head = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, FOR_EVER),
        (header::CONTENT_TYPE, asset.media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, asset.content).into_response()
}
