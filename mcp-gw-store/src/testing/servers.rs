//! Templates and instances.

use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use mcp_gw_core::testing::ManualClock;

use super::{ODD, SECOND, check, is_conflict, is_invalid, is_missing};
use crate::contract::Store;
use crate::error::Conflict;
use crate::values::{
    Edit, EnvVars, Health, HostKind, InstanceFilter, InstanceSpec, LoadBalancer, NewInstance,
    NewTemplate, PageRequest, Revision, ServerStatus, Strategy, TemplateChange, Time,
};

/// [`Servers`](crate::Servers).
pub async fn servers_contract(store: &dyn Store, clock: &ManualClock) {
    templates(store).await;
    templates_change(store, clock).await;
    instances(store, clock).await;
    instances_change(store).await;
    instances_in_order(store).await;
    odd_instances(store).await;
    let all = PageRequest::first(1_000);
    let left = store.instances(&InstanceFilter::new(), &all).await.unwrap();
    for instance in left.items {
        store.delete_instance(&instance.id, None).await.unwrap();
    }
    for template in store.templates(&all).await.unwrap().items {
        store.delete_template(&template.name, None).await.unwrap();
    }
    let counts = store.counts().await.unwrap();
    check(
        counts.templates == 0 && counts.instances == 0,
        "what is deleted is gone",
    );
}

async fn templates(store: &dyn Store) {
    let mut new = NewTemplate::new("weather");
    new.description = Some("tells the weather".to_owned());
    new.load_balancer.strategy = Strategy::Weighted;
    let made = store.create_template(new.clone()).await.unwrap();
    check(
        store.template("weather").await.as_ref() == Ok(&made) && made.load_balancer.timeout == 60,
        "a template is kept as it was given",
    );
    check(
        is_conflict(&store.create_template(new).await, Conflict::Template),
        "a template is there once",
    );
    for name in ["Weather", "Zebra", "a b", "é", "time"] {
        store.create_template(NewTemplate::new(name)).await.unwrap();
    }
    let mut names = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let answer = store.templates(&page).await.unwrap();
        names.extend(answer.items.into_iter().map(|template| template.name));
        let Some(next) = answer.next else { break };
        page = page.after(next);
    }
    check(
        names == ["Weather", "Zebra", "a b", "time", "weather", "é"],
        "templates are listed by the bytes of their names",
    );
    check(
        is_missing(&store.template("nobody").await)
            && is_missing(&store.template("a\0").await)
            && is_missing(&store.delete_template("nobody", None).await),
        "what is not there is told",
    );
}

async fn templates_change(store: &dyn Store, clock: &ManualClock) {
    let made = store.template("weather").await.unwrap();
    clock.advance(SECOND);
    let mut change = TemplateChange::new();
    change.load_balancer = Edit::Set(LoadBalancer {
        strategy: Strategy::Random,
        health_check_interval: 5,
        max_retries: 10,
        pool_size: 20,
        timeout: 300,
    });
    let changed = store
        .update_template("weather", Some(made.revision), change.clone())
        .await
        .unwrap();
    check(
        changed.description == made.description
            && changed.load_balancer.pool_size == 20
            && changed.updated_at > made.updated_at
            && store.template("weather").await.as_ref() == Ok(&changed),
        "what is set changes and the rest stays",
    );
    check(
        is_conflict(
            &store
                .update_template("weather", Some(made.revision), change.clone())
                .await,
            Conflict::Revision,
        ),
        "what was changed meanwhile is not overwritten",
    );
    change.load_balancer = Edit::Set(LoadBalancer {
        pool_size: 21,
        ..LoadBalancer::default()
    });
    check(
        is_invalid(&store.update_template("weather", None, change).await),
        "what is out of range is refused",
    );
}

fn full_spec() -> InstanceSpec {
    let variables = [("TOKEN".to_owned(), "s3cret".to_owned())];
    InstanceSpec {
        command: Some(vec!["uvx".to_owned(), String::new(), "a b".to_owned()]),
        backend: HostKind::Kubernetes,
        container_id: Some("c".to_owned()),
        deployment_id: Some("d".to_owned()),
        namespace: Some("n".to_owned()),
        working_dir: Some("/tmp".to_owned()),
        env_vars: Some(EnvVars::new(BTreeMap::from(variables))),
        is_active: false,
        instance_metadata: Some(RawJson::parse(r#"{"weight": 3.0,"b":1,"a":1e2}"#).unwrap()),
        config: Some(RawJson::parse(r#"{ "x" : "\u0000" }"#).unwrap()),
        ..InstanceSpec::http("http://127.0.0.1:1/mcp")
    }
}

async fn instances(store: &dyn Store, clock: &ManualClock) {
    let mut new = NewInstance::new("w-1", "weather", full_spec());
    new.health = Health::of(ServerStatus::Healthy);
    let made = store.create_instance(new.clone()).await.unwrap();
    check(
        made.spec == full_spec() && store.instance("w-1").await.as_ref() == Ok(&made),
        "an instance is kept as it was given, JSON to the letter",
    );
    let shown = format!("{made:?}");
    check(
        !shown.contains("s3cret") && !shown.contains("u0000"),
        "secrets of an instance are not shown",
    );
    check(
        is_conflict(&store.create_instance(new).await, Conflict::Instance),
        "an instance is there once, in whichever template",
    );
    check(
        is_conflict(
            &store.delete_template("weather", None).await,
            Conflict::InUse,
        ),
        "a template with instances stays",
    );
    clock.advance(SECOND);
    let health = Health {
        status: ServerStatus::Unhealthy,
        last_health_check: Some(Time::from_micros(5)),
        consecutive_failures: u32::MAX,
        last_error: Some("no answer".to_owned()),
    };
    store.set_health("w-1", health.clone()).await.unwrap();
    let sick = store.instance("w-1").await.unwrap();
    check(
        sick.health == health && sick.revision == made.revision,
        "health is noted, and no change",
    );
}

async fn instances_change(store: &dyn Store) {
    let made = store.instance("w-1").await.unwrap();
    let spec = InstanceSpec::http("http://127.0.0.1:2");
    let changed = store
        .update_instance("w-1", Some(made.revision), spec.clone())
        .await
        .unwrap();
    check(
        changed.spec == spec
            && changed.health == made.health
            && changed.created_at == made.created_at,
        "another description leaves the health",
    );
    let stale = store
        .update_instance("w-1", Some(made.revision), spec)
        .await;
    check(
        is_conflict(&stale, Conflict::Revision),
        "what was changed meanwhile is not overwritten",
    );
    let put = NewInstance::new(
        "w-1",
        "made along",
        InstanceSpec::stdio(vec!["x".to_owned()]),
    );
    let replaced = store.put_instance(put).await.unwrap();
    check(
        replaced.template_name == "made along"
            && replaced.health == Health::new()
            && replaced.created_at == made.created_at
            && replaced.revision > changed.revision
            && store.instance("w-1").await.as_ref() == Ok(&replaced),
        "an instance can be put in the place of another",
    );
    check(
        store.template("made along").await.is_ok(),
        "a template is made with its first instance",
    );
    let stale = Some(Revision::new(77));
    check(
        is_conflict(
            &store.delete_instance("w-1", stale).await,
            Conflict::Revision,
        ),
        "what was changed meanwhile is not deleted",
    );
    for id in ["nobody", "", "w-1\0", "W-1"] {
        check(
            is_missing(&store.instance(id).await)
                && is_missing(&store.set_health(id, Health::new()).await)
                && is_missing(&store.update_instance(id, None, InstanceSpec::new()).await)
                && is_missing(&store.delete_instance(id, None).await),
            "what is not there is told",
        );
    }
}

async fn instances_in_order(store: &dyn Store) {
    for id in ["z", "m", "a", "Z"] {
        let new = NewInstance::new(id, "time", InstanceSpec::new());
        store.create_instance(new).await.unwrap();
    }
    let put = NewInstance::new("m", "time", InstanceSpec::http("http://127.0.0.1:3"));
    store.put_instance(put).await.unwrap();
    store
        .set_health("a", Health::of(ServerStatus::Healthy))
        .await
        .unwrap();
    let filter = InstanceFilter::of_template("time");
    let first = PageRequest::first(3);
    let page = store.instances(&filter, &first).await.unwrap();
    let rest = first.after(page.next.unwrap());
    let rest = store.instances(&filter, &rest).await.unwrap();
    let ids: Vec<String> = page
        .items
        .into_iter()
        .chain(rest.items)
        .map(|it| it.id)
        .collect();
    check(
        ids == ["z", "m", "a", "Z"],
        "instances are in the order of creation, also after they were replaced",
    );
    let none = InstanceFilter::of_template("ti\0me");
    let none = store.instances(&none, &PageRequest::first(3)).await;
    check(none.unwrap().items.is_empty(), "a filter may take nothing");
    let counts = store.counts().await.unwrap();
    check(
        counts.healthy_instances == 1 && counts.instances == 5,
        "instances are counted",
    );
}

async fn odd_instances(store: &dyn Store) {
    for text in ODD {
        let mut spec = InstanceSpec::http(text);
        spec.command = Some(vec![text.to_owned(); 3]);
        spec.namespace = Some(text.to_owned());
        let made = store
            .put_instance(NewInstance::new(text, text, spec.clone()))
            .await
            .unwrap();
        check(
            made.spec == spec && store.instance(text).await.as_ref() == Ok(&made),
            "text comes out as it went in",
        );
    }
    let mut list = InstanceSpec::new();
    list.instance_metadata = Some(RawJson::parse("[1]").unwrap());
    let mut nul = InstanceSpec::new();
    nul.env_vars = Some(EnvVars::new(BTreeMap::from([(
        "A".to_owned(),
        "\0".to_owned(),
    )])));
    let mut huge = InstanceSpec::new();
    huge.config = RawJson::parse(format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20))).ok();
    for spec in [list, nul, huge] {
        let new = NewInstance::new("bad", "bad", spec.clone());
        check(
            is_invalid(&store.create_instance(new.clone()).await)
                && is_invalid(&store.put_instance(new).await)
                && is_invalid(&store.update_instance("z", None, spec).await),
            "values that not every database takes are refused",
        );
    }
    check(
        is_missing(&store.template("bad").await),
        "what is refused leaves nothing behind",
    );
}
