//! What is taken from the snapshot before is what would have been built anew.

use proptest::prelude::*;

use super::*;
use crate::backend::Backend;
use crate::catalogue::Endpoint;
use crate::mount::{Mounting, UriNaming};
use crate::registry::ToolRegistry;

/// What one server offers: names of its tools, prompts and resources, and whether its texts follow names.
type Offered = (Vec<u8>, Vec<u8>, Vec<u8>, bool);

/// What happens to a server: it is away, stays as it is, offers something, or is mounted in another way.
#[derive(Debug, Clone)]
enum Step {
    Goes(usize),
    Offers(usize, Offered),
    Mounted(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = || proptest::collection::vec(0_u8..5, 0..4);
    let offered = (names(), names(), names(), any::<bool>());
    let step = prop_oneof![
        1 => (0_usize..4).prop_map(Step::Goes),
        6 => (0_usize..4, offered).prop_map(|(at, offered)| Step::Offers(at, offered)),
        1 => (0_usize..4, 0_u8..4).prop_map(|(at, way)| Step::Mounted(at, way)),
    ];
    proptest::collection::vec(step, 1..12)
}

fn offer((tools, prompts, resources, follows): &Offered) -> Arc<Offer> {
    // Servers have some names in common, and one is named like what another one is given.
    let name = |name: &u8| match name {
        4 => "s1__n0".to_owned(),
        name => format!("n{name}"),
    };
    let parse = |text: String| RawJson::parse(text).unwrap();
    let tools = tools.iter().map(|tool| {
        let text = format!(
            r#"{{"name":"{}","description":"ask n0 or n1, then n2","inputSchema":{{"type":"object"}}}}"#,
            name(tool)
        );
        ToolSpec::from_definition(parse(text)).unwrap()
    });
    let mut offer = Offer::of_tools(tools.collect());
    let prompts = prompts.iter().map(|prompt| {
        let text = format!(r#"{{"name":"{}","description":"of n1"}}"#, name(prompt));
        ItemSpec::from_definition(Feature::Prompt, parse(text)).unwrap()
    });
    offer.prompts = prompts.collect();
    let resources = resources.iter().map(|resource| {
        let text = format!(r#"{{"uri":"x://{resource}","name":"r"}}"#);
        ItemSpec::from_definition(Feature::Resource, parse(text)).unwrap()
    });
    offer.resources = resources.collect();
    offer.texts_follow_names = *follows;
    offer.absent = vec!["n3".into()];
    offer.instructions = Some("begin with n0".to_owned());
    Arc::new(offer)
}

fn point(server: usize, way: u8) -> Arc<MountPoint> {
    let name = format!("s{server}");
    let backend: Arc<dyn Backend> = Arc::new(ToolRegistry::builder(&name).build().unwrap());
    let mounting = match way {
        0 => Mounting::plain(),
        1 => Mounting::new(Naming::OnCollision, &name),
        2 => Mounting::new(Naming::Always, &name),
        _ => Mounting::new(Naming::Always, &name).with_uris(UriNaming::Prefix),
    };
    Arc::new(MountPoint::new(backend, &mounting, true).unwrap())
}

/// All that a client or a policy may see of a snapshot.
fn seen(catalogue: &Catalogue) -> Vec<String> {
    let entries = FEATURES.iter().flat_map(|&feature| {
        let entries = catalogue.entries(feature).iter();
        entries.map(move |entry| {
            let position = catalogue.position(feature, &entry.key);
            let tool = entry.tool.as_ref().map(|tool| tool.definition().as_str());
            let (definition, original) = (entry.definition.as_str(), entry.original.as_str());
            format!(
                "{entry:?} {position:?} {tool:?} {definition} {original} {}",
                entry.own_name
            )
        })
    });
    let said = catalogue.instructions().map(|said| format!("{said:?}"));
    let shares = catalogue.shares.iter();
    let shares =
        shares.map(|share| format!("{:?} {} {}", share.wording, share.counts, share.items));
    entries.chain(said).chain(shares).collect()
}

proptest! {
    #[test]
    fn a_snapshot_made_of_the_one_before_is_as_one_made_anew(
        ways in proptest::collection::vec(0_u8..4, 4),
        steps in steps(),
    ) {
        let mut points: Vec<_> = (0..4).zip(ways).map(|(at, way)| point(at, way)).collect();
        let mut offers: Vec<Option<Arc<Offer>>> = vec![None; 4];
        let mut before = Catalogue::default();
        let mut own = std::collections::HashMap::new();
        let endpoint = Endpoint::new("some", |_, name, _| !name.ends_with('1'));
        for (version, step) in (1..).zip(steps) {
            match step {
                Step::Goes(at) => offers[at] = None,
                Step::Offers(at, offered) => offers[at] = Some(offer(&offered)),
                Step::Mounted(at, way) => points[at] = point(at, way),
            }
            let parts: Vec<_> = points.iter().zip(&offers).map(|(point, offer)| Part {
                point,
                is_static: false,
                offer: offer.as_ref(),
                asked_at: None,
            }).collect();
            let (grown, told) = Catalogue::build(version, &parts, &before);
            let (anew, expected) = Catalogue::build(version, &parts, &Catalogue::default());
            prop_assert_eq!(seen(&grown), seen(&anew));
            prop_assert_eq!(format!("{told:?}"), format!("{expected:?}"));
            prop_assert_eq!(seen(&grown.subset(&endpoint)), seen(&anew.subset(&endpoint)));
            let grown_own = grown.of_servers(|server| own.get(server).cloned());
            let anew_own = anew.of_servers(|_| None);
            prop_assert_eq!(grown_own.len(), anew_own.len());
            for (server, view) in &grown_own {
                prop_assert_eq!(seen(view), seen(&anew_own[server]));
            }
            (before, own) = (grown, grown_own);
        }
    }
}

#[test]
fn what_did_not_change_is_the_same_and_not_made_again() {
    let points = [point(0, 2), point(1, 2)];
    let both = [
        offer(&(vec![0], vec![1], vec![2], false)),
        offer(&(vec![0], vec![], vec![], false)),
    ];
    let other = offer(&(vec![0, 2], vec![], vec![], false));
    let parts = |offers: [&Arc<Offer>; 2]| -> Vec<Arc<Offer>> { offers.map(Arc::clone).into() };
    let build = |version, offers: &[Arc<Offer>], before: &Catalogue| {
        let parts: Vec<_> = points
            .iter()
            .zip(offers)
            .map(|(point, offer)| Part {
                point,
                is_static: false,
                offer: Some(offer),
                asked_at: None,
            })
            .collect();
        Catalogue::build(version, &parts, before).0
    };
    let first = build(1, &parts([&both[0], &both[1]]), &Catalogue::default());
    let own = first.of_servers(|_| None);
    let second = build(2, &parts([&both[0], &other]), &first);
    let next = second.of_servers(|server| own.get(server).cloned());
    let is_kept = |name: &str| {
        let of = |catalogue: &Catalogue| catalogue.tools.shared(name).cloned().unwrap();
        Arc::ptr_eq(&of(&first), &of(&second))
    };
    assert!(is_kept("s0__n0") && !is_kept("s1__n0"));
    assert!(Arc::ptr_eq(&own["s0"], &next["s0"]) && !Arc::ptr_eq(&own["s1"], &next["s1"]));
}
