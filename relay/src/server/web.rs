//! `/`: the built demo, or a page that says how to build it.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::any;
use std::io;
use std::path::PathBuf;
use tower_http::services::ServeDir;

/// What a page from here may do: run its own scripts, workers and WebAssembly, and open WebSockets. Editors style
/// themselves, which needs inline styles.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Files whose names change with their contents never change.
const CACHE_FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Everything else is asked about again each time.
const CACHE_ASK: &str = "no-cache";
/// Where the build puts files whose names change with their contents.
const HASHED_FILES: &str = "/assets/";

/// The site in `folder`, or the page without one.
pub(super) fn site(folder: Option<PathBuf>) -> Router {
    let router = match folder {
        Some(folder) => Router::new().fallback(any(file)).with_state(folder),
        None => Router::new().fallback(any(no_demo)),
    };
    router.layer(from_fn(add_headers))
}

/// A file of the site; a path that names no file is the app's own affair, so the app's page answers it.
async fn file(State(folder): State<PathBuf>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let found = serve(&folder, request).await;
    let names_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if found.status() != StatusCode::NOT_FOUND || names_file || !matches!(method, Method::GET | Method::HEAD) {
        return found;
    }
    let mut index = Request::new(Body::empty());
    *index.method_mut() = method;
    *index.uri_mut() = Uri::from_static("/");
    serve(&folder, index).await
}

async fn serve(folder: &PathBuf, request: Request) -> Response {
    let served = ServeDir::new(folder).precompressed_br().precompressed_gzip().try_call(request).await;
    match served {
        Ok(response) => response.map(Body::new),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (StatusCode::NOT_FOUND, "there is nothing here\n").into_response()
        }
        Err(error) => {
            tracing::warn!("a file of the site cannot be read: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response()
        }
    }
}

async fn no_demo(uri: Uri) -> Response {
    if uri.path() == "/" {
        Html(include_str!("no_demo.html")).into_response()
    } else {
        (StatusCode::NOT_FOUND, "there is nothing here\n").into_response()
    }
}

async fn add_headers(request: Request, next: Next) -> Response {
    let hashed = request.uri().path().starts_with(HASHED_FILES);
    let mut response = next.run(request).await;
    let keep = hashed && (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, if keep { CACHE_FOR_EVER } else { CACHE_ASK }),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
