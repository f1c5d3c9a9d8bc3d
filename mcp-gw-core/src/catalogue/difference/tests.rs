use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::backend::{Backend, ItemSpec, Offer};
use crate::catalogue::Part;
use crate::json::RawJson;
use crate::mount::{MountPoint, Mounting};
use crate::registry::ToolRegistry;

fn point(server: &str) -> Arc<MountPoint> {
    let backend: Arc<dyn Backend> = Arc::new(ToolRegistry::builder(server).build().unwrap());
    Arc::new(MountPoint::new(backend, &Mounting::plain(), false).unwrap())
}

/// A list of prompts: names, and what is said of them.
type List = Vec<(u8, u8)>;

fn catalogue(server: &str, list: &[(u8, u8)]) -> Catalogue {
    let items = list.iter().map(|(name, says)| {
        let text = format!(r#"{{"name":"p{name}","description":"{says}"}}"#);
        ItemSpec::from_definition(Feature::Prompt, RawJson::parse(text).unwrap()).unwrap()
    });
    let mut offer = Offer::of_tools(Vec::new());
    offer.prompts = items.collect();
    let point = point(server);
    let part = Part {
        point: &point,
        is_static: false,
        offer: Some(&Arc::new(offer)),
        asked_at: None,
    };
    Catalogue::build(1, &[part], &Catalogue::default()).0
}

fn keys<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<&'a str> {
    entries.into_iter().map(|entry| &*entry.key).collect()
}

#[test]
fn what_came_went_changed_and_moved_is_told_apart() {
    let before = catalogue("s", &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)]);
    let after = catalogue("s", &[(1, 0), (4, 0), (2, 1), (3, 0), (7, 0), (6, 0)]);
    let differences = before.differences(&after, Feature::Prompt);
    let sides = |it: &Difference<'_>| {
        let key = |entry: Option<&Entry>| entry.map(|entry| entry.key.to_string());
        (key(it.before), key(it.after), it.looks_the_same())
    };
    let p = |name: &str| Some(name.to_owned());
    assert_eq!(
        differences.changed.iter().map(sides).collect::<Vec<_>>(),
        [
            (p("p2"), p("p2"), false),
            (p("p5"), None, false),
            (None, p("p7"), false)
        ]
    );
    assert_eq!(keys(differences.moved), ["p3", "p4"]);
    assert!(before.differences(&before, Feature::Prompt).is_empty());
    assert!(before.differences(&after, Feature::Tool).is_empty());
}

#[test]
fn what_goes_to_another_server_looks_the_same_and_is_told() {
    let (before, after) = (catalogue("a", &[(1, 0)]), catalogue("b", &[(1, 0)]));
    let differences = before.differences(&after, Feature::Prompt);
    assert_eq!(differences.changed.len(), 1);
    assert!(differences.changed[0].looks_the_same());
    assert!(before.change_to(&after).prompts && !before.change_to(&after).tools);
}

fn lists() -> impl Strategy<Value = List> {
    let all: List = (0..8).map(|name| (name, 0)).collect();
    let some = proptest::sample::subsequence(all, 0..=8).prop_shuffle();
    (some, proptest::collection::vec(0_u8..2, 8)).prop_map(|(list, says)| {
        let says = |name: u8| says[usize::from(name)];
        list.into_iter()
            .map(|(name, _)| (name, says(name)))
            .collect()
    })
}

fn sorted(list: &[RawJson]) -> Vec<String> {
    let mut list: Vec<_> = list.iter().map(|it| it.as_str().to_owned()).collect();
    list.sort_unstable();
    list
}

proptest! {
    #[test]
    fn who_sees_another_list_sees_a_part_of_the_difference(
        before in lists(),
        after in lists(),
        hidden in proptest::collection::hash_set(0_u8..8, 0..8),
    ) {
        let (old, new) = (catalogue("s", &before), catalogue("s", &after));
        let hidden: HashSet<String> = hidden.iter().map(|name| format!("p{name}")).collect();
        let is_seen = |entry: &Entry| !hidden.contains(&*entry.key);
        let list = |of: &Catalogue| -> Vec<RawJson> {
            let seen = of.entries(Feature::Prompt).iter();
            let seen = seen.filter(|entry| is_seen(entry));
            seen.map(|entry| entry.definition.clone()).collect()
        };
        let differences = old.differences(&new, Feature::Prompt);
        let mut changed = differences.changed.iter().flat_map(|it| [it.before, it.after]).flatten();
        let sees_changed = changed.any(is_seen);
        let sees_moved = differences.moved.iter().filter(|entry| is_seen(entry)).count() > 1;
        prop_assert_eq!(
            sees_changed,
            sorted(&list(&old)) != sorted(&list(&new))
        );
        if list(&old) != list(&new) {
            prop_assert!(sees_changed || sees_moved);
        }
        prop_assert_eq!(differences.is_empty(), before == after);
        prop_assert_eq!(old.change_to(&new).prompts, before != after);
    }
}
