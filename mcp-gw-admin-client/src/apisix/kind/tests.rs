use proptest::prelude::*;

use super::*;
use crate::http::BaseUrl;

fn whole() -> Place {
    Place {
        username: Some("jack".to_owned()),
        manager: Some("vault".to_owned()),
    }
}

fn line(built: Result<Request<Bytes>, RequestError>) -> String {
    match built {
        Ok(request) => format!("{} {}", request.method(), request.uri()),
        Err(error) => format!("none: {error}"),
    }
}

#[test]
fn the_requests_are_those_of_the_admin_api() {
    let (place, body) = (whole(), RawJson::empty_object());
    let mut all = String::new();
    for kind in Kind::ALL {
        for built in [
            kind.list(&place, &ListParams::default()),
            kind.get(&place, "1"),
            kind.post(&place, &body),
            kind.put(&place, Some("1"), &body),
            kind.put(&place, None, &body),
            kind.patch(&place, "1", &body),
            kind.delete(&place, "1", false),
            kind.validate(&body),
        ] {
            all.push_str(&line(built));
            all.push('\n');
        }
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_list_takes_what_it_is_asked_for_and_nothing_else() {
    let params = ListParams::default()
        .with_page(2)
        .with_page_size(500)
        .with_name("a&page=9")
        .with_label("env=prod")
        .with_uri("^/a b")
        .with_filter("service_id", "1&upstream_id=2")
        .with_filter("upstream_id", "3");
    assert_eq!(
        line(Kind::Route.list(&Place::root(), &params)),
        "GET /routes?page=2&page_size=500&name=a%26page%3D9&label=env%3Dprod&uri=%5E%2Fa%20b\
         &filter=service_id%3D1%2526upstream_id%253D2%26upstream_id%3D3"
    );
}

#[test]
fn what_is_needed_is_named_when_it_is_missing() {
    let (none, body) = (Place::root(), RawJson::empty_object());
    for (built, what) in [
        (Kind::Credential.get(&none, "1"), "username"),
        (Kind::Secret.get(&none, "1"), "manager"),
        (Kind::Route.put(&none, None, &body), "id"),
        (Kind::Route.patch_at(&none, "1", &[], &body), "at"),
    ] {
        assert_eq!(built.unwrap_err(), RequestError::Missing { what });
    }
}

#[test]
fn one_attribute_is_replaced_at_its_path() {
    let value = RawJson::parse("1").unwrap();
    let built = Kind::Route.patch_at(&Place::root(), "1", &["plugins", "a b"], &value);
    assert_eq!(line(built), "PATCH /routes/1/plugins/a%20b");
    let built = Kind::Route.patch_at(&Place::root(), "1", &["plugins", "a/b"], &value);
    assert!(matches!(built, Err(RequestError::Segment { .. })));
    assert_eq!(
        line(Kind::Route.delete(&Place::root(), "1", true)),
        "DELETE /routes/1?force=true"
    );
}

proptest! {
    #[test]
    fn no_value_leads_to_another_resource(
        at in 0..Kind::ALL.len(),
        values in proptest::array::uniform3(".{0,6}|\\.\\.|a/b|x\\?force=true|%2e%2e|\\.\\.%2Fservices|a;b|credentials"),
        forced in any::<bool>(),
    ) {
        let kind = Kind::ALL[at];
        let [user, manager, id] = values;
        let place = Place { username: Some(user), manager: Some(manager) };
        let base: BaseUrl = "http://admin.example:9180/apisix/admin".parse().unwrap();
        let plain = base.join(kind.get(&whole(), "1").unwrap().uri()).unwrap();
        let Ok(request) = kind.delete(&place, &id, forced) else { return Ok(()) };
        let url = base.join(request.uri()).expect("what was built can be joined");
        prop_assert_eq!(url.origin(), plain.origin());
        let segments = |url: &url::Url| url.path_segments().unwrap().map(str::to_owned).collect::<Vec<_>>();
        let (ours, plain) = (segments(&url), segments(&plain));
        prop_assert_eq!(ours.len(), plain.len());
        prop_assert_eq!(&ours[..3], &plain[..3]);
        let force: Vec<_> = url.query_pairs().collect();
        let wanted: Vec<_> = forced.then(|| ("force".into(), "true".into())).into_iter().collect();
        prop_assert_eq!(force, wanted);
        prop_assert!(url.fragment().is_none());
    }

    #[test]
    fn no_value_of_a_list_becomes_another_parameter(
        values in proptest::array::uniform5("(&page=9|[?#&=%+/]|\\PC){0,6}"), page in any::<u32>(),
    ) {
        let [name, label, uri, member, value] = values;
        let params = ListParams::default()
            .with_page(page)
            .with_name(&*name)
            .with_label(&*label)
            .with_uri(&*uri)
            .with_filter(&*member, &*value);
        let base: BaseUrl = "http://admin.example:9180/apisix/admin".parse().unwrap();
        let request = Kind::Route.list(&Place::root(), &params).unwrap();
        let url = base.join(request.uri()).expect("what was built can be joined");
        prop_assert_eq!(url.path(), "/apisix/admin/routes");
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let filter = pairs.last().map(|(_, filter)| filter.clone()).unwrap();
        let wanted = [("page", page.to_string()), ("name", name), ("label", label), ("uri", uri), ("filter", filter.clone())]
            .map(|(name, value)| (name.to_owned(), value));
        prop_assert_eq!(pairs, wanted);
        let inner: Vec<(String, String)> =
            url::form_urlencoded::parse(filter.as_bytes()).into_owned().collect();
        prop_assert_eq!(inner, [(member, value)]);
    }
}
