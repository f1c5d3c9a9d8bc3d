//! Where a redirect leads, and whether it is followed (E-7).

use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Method, StatusCode};

use crate::egress::base::{Base, BaseRules};
use crate::egress::check::{self, Checked};
use crate::egress::inject::Injected;
use crate::egress::query;
use crate::egress::refusal::{Refusal, RefusalCode};
use crate::egress::rules::Redirects;

/// So many redirects in a row are followed.
pub(crate) const MOST: usize = 3;

pub(crate) fn blocked(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::RedirectBlocked, "E-7", message)
}

/// The request that this answer asks for; `None` when it is an answer like any other.
pub(crate) fn next(
    request: &Checked,
    injected: &Injected,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Checked>, Refusal> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if request.rules.redirects == Redirects::Never || !is_redirect {
        return Ok(None);
    }
    let mut locations = headers.get_all(LOCATION).iter();
    let location = match (locations.next(), locations.next()) {
        (None, _) => return Ok(None),
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Err(blocked("the API redirects to several places at once")),
    };
    let location = location.to_str().ok();
    let target = location.and_then(|location| resolve(request, location));
    let target = target.ok_or_else(|| blocked("the API redirects to elsewhere"))?;
    follow(request, injected, status, &target).map(Some)
}

fn follow(
    request: &Checked,
    injected: &Injected,
    status: StatusCode,
    target: &str,
) -> Result<Checked, Refusal> {
    let rules = &request.rules;
    let elsewhere = |refusal: Refusal| {
        blocked(format!(
            "the API redirects to what cannot be asked for: {refusal}"
        ))
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = rules
        .base
        .below(path)
        .ok_or_else(|| blocked("the API redirects to outside of its base path"))?;
    // What we added ourselves may come back, and is added again.
    let query = query.map(|query| {
        let names = injected.query_names();
        names.fold(query.to_owned(), |query, name| query::without(&query, name))
    });
    let endpoint = match query.filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let uri = check::uri_of(rules, &endpoint, &[]).map_err(elsewhere)?;
    let mut next = Checked {
        uri,
        ..request.clone()
    };
    // RFC 9110 §15.4: what is not safe becomes a GET, unless the status says that it stays.
    let becomes_get = match status.as_u16() {
        301 | 302 => next.method == Method::POST,
        303 => next.method != Method::HEAD,
        _ => false,
    };
    if becomes_get {
        next.method = check::method(rules, "GET").map_err(elsewhere)?;
        next.body = None;
        next.headers.remove(CONTENT_TYPE);
    }
    Ok(next)
}

/// Path and query of a `Location`, if it is on the same origin.
fn resolve(request: &Checked, location: &str) -> Option<String> {
    let location = location.split('#').next()?;
    let (base, path) = (&request.rules.base, request.uri.path());
    if location.starts_with("//") {
        return of_origin(base, &format!("{}:{location}", base.scheme()));
    }
    if location.starts_with('/') {
        return Some(location.to_owned());
    }
    if location.starts_with('?') {
        return Some(format!("{path}{location}"));
    }
    if location.contains("://") && !location.starts_with('.') {
        return of_origin(base, location);
    }
    // A name without a slash or colon before its end stays in the folder of the request.
    let first = location.split(['/', '?']).next()?;
    let folder = path.get(..=path.rfind('/')?)?;
    (!first.is_empty() && !first.contains([':', '\\'])).then(|| format!("{folder}{location}"))
}

/// What stands behind the origin of a whole address, if that is the origin of the API.
fn of_origin(base: &Base, location: &str) -> Option<String> {
    let start = location.find("://")? + 3;
    let length = location.get(start..)?.find(['/', '?']);
    let (origin, rest) = location.split_at(length.map_or(location.len(), |at| start + at));
    let any = BaseRules::new().with_http(true).with_ip(true);
    let is_same = Base::parse(origin, any).ok()? == base.origin();
    let slash = if rest.starts_with('/') { "" } else { "/" };
    is_same.then(|| format!("{slash}{rest}"))
}
