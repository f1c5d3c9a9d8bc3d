use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::http::BaseUrl;

fn whole() -> Place {
    Place::group("gg")
        .with_service("s")
        .with_username("jack")
        .with_provider("vault")
}

fn line(request: &Request<Bytes>) -> String {
    format!("{} {}", request.method(), request.uri())
}

#[test]
fn each_kind_is_listed_once_and_found_by_its_name() {
    for (at, &kind) in Kind::ALL.iter().enumerate() {
        assert_eq!(kind as usize, at, "{kind:?}");
        assert_eq!(Kind::of_name(kind.name()), Some(kind));
    }
    assert_eq!(Kind::of_name("nothing"), None);
}

/// The whole table, as it goes over the wire.
#[test]
fn the_requests_are_those_of_the_admin_api() {
    let body = RawJson::empty_object();
    let mut out = String::new();
    for &kind in Kind::ALL {
        let single = spec(kind).id.is_none();
        let id = (!single).then_some("id");
        let requests = [
            kind.list(&whole(), &ListParams::default().with_page(2)),
            kind.get(&whole(), id),
            kind.create(&whole(), None, &body),
            kind.create(&whole(), id, &body),
            kind.replace(&whole(), id, &body),
            kind.patch(&whole(), id, &body),
            kind.delete(&whole(), "id"),
        ];
        writeln!(out, "{}", kind.name()).unwrap();
        for request in requests.iter().flatten() {
            writeln!(out, "  {}", line(request)).unwrap();
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn what_is_missing_is_named() {
    let none = Place::global();
    let params = ListParams::default();
    for (kind, what) in [
        (Kind::PublishedService, "gateway_group_id"),
        (Kind::ServiceRegistry, "gateway_group_id"),
        (Kind::Plugin, "gateway_group_id"),
    ] {
        let error = kind.list(&none, &params).unwrap_err();
        assert_eq!(error, RequestError::Missing { what });
        assert_eq!(kind.needs(Verb::List), [what]);
    }
    let group = Place::group("gg");
    let empty = Place::group("");
    for (built, what) in [
        (Kind::Route.list(&group, &params), "service_id"),
        (Kind::Upstream.list(&group, &params), "service_id"),
        (Kind::SecretProvider.get(&group, Some("1")), "provider"),
        (Kind::Role.get(&none, None), "id"),
        (Kind::Route.get(&empty, Some("r")), "gateway_group_id"),
    ] {
        assert_eq!(built.unwrap_err(), RequestError::Missing { what });
    }
    assert!(Kind::Route.get(&group, Some("r")).is_ok());
    assert!(Kind::SecretProvider.list(&group, &params).is_ok());
}

#[test]
fn what_the_api_does_not_know_is_not_sent() {
    let body = RawJson::empty_object();
    for error in [
        Kind::Version
            .list(&whole(), &ListParams::default())
            .unwrap_err(),
        Kind::AuditLog.delete(&whole(), "x").unwrap_err(),
        Kind::User.create(&whole(), None, &body).unwrap_err(),
        Kind::Version.get(&whole(), Some("1")).unwrap_err(),
        Kind::ApiProduct
            .create(&whole(), Some("p"), &body)
            .unwrap_err(),
    ] {
        assert!(matches!(error, RequestError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn a_list_takes_what_it_is_asked_for_and_nothing_else() {
    let params = ListParams::default();
    let request = Kind::Role.list(&Place::global(), &params).unwrap();
    assert_eq!(request.uri(), "/api/roles");
    let params = params
        .with_page(2)
        .with_page_size(500)
        .with_search("a&page=9")
        .with_order("updated_at", crate::api7::Direction::Ascending)
        .with_label("env]", "prod")
        .with("portal_id", "p");
    let request = Kind::Role.list(&Place::global(), &params).unwrap();
    assert_eq!(
        request.uri(),
        "/api/roles?page=2&page_size=500&search=a%26page%3D9&order_by=updated_at&direction=asc\
         &labels%5Benv%5D%5D=prod&portal_id=p"
    );
    let params = ListParams::default().with("gateway_group_id", "other");
    assert!(Kind::Consumer.list(&whole(), &params).is_err());
}

proptest! {
    #[test]
    fn no_value_leads_to_another_resource(
        at in 0..Kind::ALL.len(), values in proptest::array::uniform5(".{0,6}|\\.\\.|a/b|x\\?y=z|%2e%2e"),
    ) {
        let kind = Kind::ALL[at];
        let [group, service, user, provider, id] = values;
        let place = Place::group(group).with_service(service).with_username(user).with_provider(provider);
        let base: BaseUrl = "https://dash.example:7443".parse().unwrap();
        let plain = Kind::ALL[at].get(&whole(), Some("id"));
        if let (Ok(request), Ok(plain)) = (kind.get(&place, Some(&id)), plain) {
            let url = base.join(request.uri()).expect("what was built can be joined");
            let plain = base.join(plain.uri()).unwrap();
            prop_assert_eq!(url.origin(), plain.origin());
            prop_assert_eq!(url.path_segments().unwrap().count(), plain.path_segments().unwrap().count());
            let fixed = |url: &url::Url| url.path_segments().unwrap().take(2).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(fixed(&url), fixed(&plain));
            let names = |url: &url::Url| url.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
            prop_assert_eq!(names(&url), names(&plain));
        }
    }
}
