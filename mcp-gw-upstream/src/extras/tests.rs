use mcp_gw_core::{BackendListener, Feature};
use tokio::sync::mpsc;

use super::*;

/// Counts that something has changed.
struct Ear(Mutex<mpsc::Sender<BackendEvent>>);

impl BackendListener for Ear {
    fn on_event(&self, event: BackendEvent) {
        self.0.lock().unwrap().try_send(event).unwrap();
    }
}

struct World {
    extras: Extras,
    told: mpsc::Receiver<BackendEvent>,
}

impl World {
    fn new(shared: &[&str]) -> Self {
        let (sender, told) = mpsc::channel(64);
        let events = Events::default();
        events.watch(Arc::new(Ear(Mutex::new(sender))));
        let extras = Extras::new(Arc::new(events));
        extras.complete(&mut tools(shared));
        Self { extras, told }
    }

    /// What the lane lists now; true when that changes the offer.
    fn learn(&mut self, lane: u64, offer: &Offer) -> bool {
        self.extras.opened(lane);
        self.extras.learn(lane, offer);
        self.told.try_recv().is_ok()
    }

    fn close(&mut self, lane: u64) -> bool {
        self.extras.closed(lane);
        self.told.try_recv().is_ok()
    }

    fn offer(&self, shared: &[&str]) -> Vec<String> {
        let mut offer = tools(shared);
        self.extras.complete(&mut offer);
        let name = |tool: &ToolSpec| tool.name().to_owned();
        offer.tools.iter().map(name).collect()
    }
}

fn tool(name: &str, more: &str) -> ToolSpec {
    let text = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}{more}}}"#);
    ToolSpec::from_definition(RawJson::parse(text).unwrap()).unwrap()
}

fn tools(names: &[&str]) -> Offer {
    Offer::of_tools(names.iter().map(|name| tool(name, "")).collect())
}

#[test]
fn what_only_lanes_have_is_there_until_the_last_of_them_goes() {
    let mut world = World::new(&["a"]);
    assert!(!world.learn(1, &tools(&["a"])), "nothing new");
    assert!(world.learn(1, &tools(&["a", "z", "b"])));
    assert!(!world.learn(2, &tools(&["b", "a"])), "it is known");
    assert_eq!(world.offer(&["a"]), ["a", "b", "z"]);
    // It is the same for the same lane, however often it is read.
    assert!(!world.learn(2, &tools(&["b"])));
    assert!(world.close(1), "z is gone");
    assert_eq!(world.offer(&["a"]), ["a", "b"]);
    assert!(world.close(2));
    assert_eq!(world.offer(&["a"]), ["a"]);
    assert!(!world.close(2));
    // What comes late is of no use any more.
    world.extras.learn(2, &tools(&["late"]));
    assert_eq!(world.offer(&["a"]), ["a"]);
}

#[test]
fn the_shared_definition_wins_and_a_lane_alone_may_change_its_own() {
    let mut world = World::new(&[]);
    let with = |more: &str| Offer::of_tools(vec![tool("t", more)]);
    assert!(world.learn(1, &with("")));
    assert!(world.learn(1, &with(r#","x":1.0"#)));
    assert!(!world.learn(2, &with(r#","x":2"#)), "the first stays");
    let mut offer = Offer::default();
    world.extras.complete(&mut offer);
    assert!(offer.tools[0].definition().as_str().contains(r#""x":1.0"#));
    // Now the shared one lists it as well.
    let mut offer = with("");
    world.extras.complete(&mut offer);
    assert_eq!(offer.tools.len(), 1);
    assert!(!offer.tools[0].definition().as_str().contains("\"x\""));
}

#[test]
fn what_the_shared_connection_has_lost_is_looked_for_on_the_others() {
    let mut world = World::new(&["a", "b"]);
    let round = world.extras.round.subscribe();
    let before = *round.borrow();
    world.learn(1, &tools(&["a", "b"]));
    world.offer(&["a", "b", "c"]);
    assert_eq!(*round.borrow(), before);
    world.offer(&["a", "c"]);
    assert_eq!(*round.borrow(), before + 1);
    assert!(world.learn(1, &tools(&["a", "b"])));
    assert_eq!(world.offer(&["a", "c"]), ["a", "c", "b"]);
}

#[test]
fn all_lists_have_their_own_names() {
    let mut world = World::new(&[]);
    let item = |feature, text: &str| {
        let definition = RawJson::parse(text.to_owned()).unwrap();
        ItemSpec::from_definition(feature, definition).unwrap()
    };
    let mut offer = tools(&["x:y"]);
    offer.prompts = vec![item(Feature::Prompt, r#"{"name":"x:y"}"#)];
    offer.resources = vec![item(Feature::Resource, r#"{"uri":"x:y","n":1e2}"#)];
    let template = r#"{"uriTemplate":"x:y"}"#;
    offer.resource_templates = vec![item(Feature::ResourceTemplate, template)];
    assert!(world.learn(1, &offer));
    let mut union = Offer::default();
    world.extras.complete(&mut union);
    let counts = [
        union.tools.len(),
        union.prompts.len(),
        union.resources.len(),
        union.resource_templates.len(),
    ];
    assert_eq!(counts, [1; 4]);
    let definition = union.resources[0].definition().as_str();
    assert_eq!(definition, r#"{"uri":"x:y","n":1e2}"#);
    assert!(world.close(1));
}

#[test]
fn there_is_an_end_to_what_lanes_can_add() {
    let mut world = World::new(&[]);
    let long = format!(r#","x":"{}""#, "x".repeat(LONGEST));
    assert!(!world.learn(1, &Offer::of_tools(vec![tool("long", &long)])));
    let names: Vec<String> = (0..2 * MOST).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(world.learn(1, &tools(&names)));
    assert!(!world.learn(2, &tools(&["one_more"])));
    assert_eq!(world.offer(&[]).len(), MOST);
    // One grows beyond all bounds: it stays as it was.
    assert!(!world.learn(3, &Offer::of_tools(vec![tool("t1", &long)])));
    world.close(1);
    world.close(3);
    let state = world.extras.lock();
    assert_eq!((state.added.len(), state.bytes), (0, 0));
}

fn declaring(capabilities: &str) -> Offer {
    let mut offer = tools(&["a"]);
    offer.capabilities = Some(RawJson::parse(capabilities.to_owned()).unwrap());
    offer
}

#[test]
fn what_is_declared_on_lanes_alone_is_declared_until_the_last_of_them_goes() {
    let shared = r#"{"tools":{},"resources":{"listChanged":false}}"#;
    let mut world = World::new(&["a"]);
    let declared = |world: &World| {
        let mut offer = declaring(shared);
        world.extras.complete(&mut offer);
        offer.capabilities.unwrap().as_str().to_owned()
    };
    assert_eq!(declared(&world), shared);
    assert!(!world.learn(1, &declaring(r#"{"tools":{}}"#)), "known");
    let more =
        r#"{"prompts":{"x":1.0},"resources":{"subscribe":true,"listChanged":true},"tools":1}"#;
    assert!(world.learn(2, &declaring(more)));
    assert!(!world.learn(3, &declaring(more)), "it is known");
    let union =
        r#"{"tools":{},"resources":{"listChanged":false,"subscribe":true},"prompts":{"x":1.0}}"#;
    assert_eq!(declared(&world), union);
    assert!(!world.close(2), "the other one has it too");
    assert_eq!(declared(&world), union);
    assert!(world.close(3));
    assert_eq!(declared(&world), shared);
    // What says a name twice, is no object or is very long adds nothing.
    let long = format!(r#"{{"y":"{}"}}"#, "y".repeat(LONGEST_DECLARED));
    for (lane, odd) in (4..).zip([r#"{"y":1,"y":2}"#, "[1]", &long]) {
        assert!(!world.learn(lane, &declaring(odd)), "{odd}");
        assert_eq!(declared(&world), shared);
    }
}
