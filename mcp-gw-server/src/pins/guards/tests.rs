//! Gateways that have their pins in one database.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, BackendEvent, BackendListener, CallContext, Feature, Offer, ToolCall,
    ToolOutput, ToolSpec,
};
use mcp_gw_store::{
    Changes, DatabaseUrl, MemoryStore, Pin, Revision, ServerPins as Rows, Store as Database,
    StoreError, StoreOptions,
};
use tokio::sync::Notify;

use super::*;
use crate::config::PinsConfig;
use crate::pins::file::ServerPins;
use crate::pins::print::Sight;
use crate::pins::store::PinStore;

/// Offers what it is told to.
struct Fickle(Mutex<String>);

#[async_trait]
impl Backend for Fickle {
    fn name(&self) -> &'static str {
        "fickle"
    }

    fn offer_now(&self) -> Option<Offer> {
        None
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(offer(&self.0.lock().unwrap()))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text(call.name))
    }
}

fn offer(description: &str) -> Offer {
    let tool = |name, text| ToolSpec::new(name, text).unwrap();
    Offer::of_tools(vec![tool("a", description), tool("b", "stays")])
}

/// Rings when a server is to be asked again.
#[derive(Default)]
struct Ears(Notify);

impl BackendListener for Ears {
    fn on_event(&self, event: BackendEvent) {
        assert_eq!(event, BackendEvent::OfferChanged);
        self.0.notify_one();
    }
}

/// One gateway with one server.
struct Gateway {
    fickle: Arc<Fickle>,
    guarded: Arc<dyn Backend>,
    ears: Arc<Ears>,
    guards: Guards,
}

impl Gateway {
    fn of(guards: Guards, config: &Config) -> Self {
        let guard = guards
            .guard("fickle", config, &ServerConfig::default())
            .unwrap();
        let fickle = Arc::new(Fickle(Mutex::new("good".to_owned())));
        let guarded = guard.around(Arc::clone(&fickle) as Arc<dyn Backend>);
        let ears = Arc::new(Ears::default());
        guarded.watch(Arc::clone(&ears) as Arc<dyn BackendListener>);
        Self {
            fickle,
            guarded,
            ears,
            guards,
        }
    }

    fn on(database: &Arc<dyn Database>, config: &Config) -> Self {
        let guards = Guards::stored(config, Some(database)).unwrap();
        Self::of(guards, config)
    }

    /// How many of the two tools pass.
    async fn passes(&self) -> Result<usize, String> {
        let offer = self.guarded.offer().await;
        offer
            .map(|offer| offer.tools.len())
            .map_err(|error| error.to_string())
    }

    fn says(&self, description: &str) {
        description.clone_into(&mut self.fickle.0.lock().unwrap());
    }
}

/// As a file says it that names none for pins, in a folder of its own.
fn config(folder: &tempfile::TempDir, mode: &str) -> Config {
    let text =
        format!("pins: {{ mode: {mode} }}\npolicy: {{ default: allow }}\nmanagement: {{}}\n");
    let file = folder.path().join("mcp-gw.yaml");
    Config::load(&file.display().to_string(), &text, &|_: &str| None).unwrap()
}

async fn sqlite(folder: &tempfile::TempDir) -> Arc<dyn Database> {
    let url = format!("sqlite:///{}", folder.path().join("g.db").display());
    let url = DatabaseUrl::parse(&url).unwrap();
    let mut options = StoreOptions::new();
    options.poll = std::time::Duration::from_millis(20);
    mcp_gw_store::open(&url, &options).await.unwrap()
}

async fn approve(database: impl PinStore, description: &str) {
    let shared = SharedStore::new(database, None);
    let pins = ServerPins::of(&Sight::of(&offer(description)));
    let edited = shared.edit("fickle", |kept| *kept = Some(pins.clone()));
    edited.await.unwrap();
}

#[tokio::test]
async fn what_one_gateway_pins_and_an_admin_approves_holds_on_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "quarantine");
    let (first, second) = (sqlite(&folder).await, sqlite(&folder).await);
    let (one, two) = (Gateway::on(&first, &config), Gateway::on(&second, &config));
    let mut watches = [one.guards.watch(), two.guards.watch()];
    assert_eq!(one.passes().await, Ok(2));
    // It has never seen the server, and does not trust what that says now.
    two.says("evil");
    assert_eq!(two.passes().await, Ok(1));
    assert!(!folder.path().join("mcp-gw.pins.json").exists());

    one.says("evil");
    assert_eq!(one.passes().await, Ok(1));
    approve(sqlite(&folder).await, "evil").await;
    for gateway in [&one, &two] {
        while gateway.passes().await != Ok(2) {
            gateway.ears.0.notified().await;
        }
        gateway.says("good");
        assert_eq!(
            gateway.passes().await,
            Ok(1),
            "what was trusted before is not"
        );
    }
    // What is acknowledged is there for one that starts later.
    for watch in &mut watches {
        watch.stop().await;
    }
    drop((one, two, first, second));
    let database = sqlite(&folder).await;
    let later = Gateway::on(&database, &config);
    assert_eq!(later.passes().await, Ok(1));
}

/// A database that can be away.
#[derive(Clone, Debug)]
struct Shaky {
    database: Arc<dyn Database>,
    is_away: Arc<AtomicBool>,
}

impl Shaky {
    fn up(&self) -> mcp_gw_store::Result<&Arc<dyn Database>> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable {
                reason: "it is away".to_owned(),
                retryable: true,
            });
        }
        Ok(&self.database)
    }
}

#[async_trait]
impl PinStore for Shaky {
    async fn pins(&self, server: &str) -> mcp_gw_store::Result<Rows> {
        PinStore::pins(self.up()?, server).await
    }

    async fn pinned_servers(&self) -> mcp_gw_store::Result<Vec<String>> {
        PinStore::pinned_servers(self.up()?).await
    }

    async fn put_pins(
        &self,
        server: &str,
        expected: Option<Revision>,
        pins: Vec<Pin>,
    ) -> mcp_gw_store::Result<Rows> {
        PinStore::put_pins(self.up()?, server, expected, pins).await
    }

    fn changes(&self) -> Changes {
        PinStore::changes(&self.database)
    }
}

fn on_shaky(shaky: &Shaky, config: &Config) -> Gateway {
    let guards = Guards::made(vec![config.pins.mode], || {
        let shared = SharedStore::new(shaky.clone(), config.pins.file.clone());
        Some(Store::Database(shared))
    });
    Gateway::of(guards.unwrap(), config)
}

fn shaky() -> Shaky {
    Shaky {
        database: Arc::new(MemoryStore::new()),
        is_away: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_trusted_while_the_database_is_away_and_all_is_as_before_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    for mode in ["quarantine", "block"] {
        let config = config(&folder, mode);
        let shaky = shaky();
        let away = |is_away| shaky.is_away.store(is_away, Ordering::Relaxed);
        // Not even what was never seen.
        away(true);
        let gateway = on_shaky(&shaky, &config);
        let mut watch = gateway.guards.watch();
        let error = gateway.passes().await.unwrap_err();
        assert!(
            error.contains("it is away") && error.contains("\"fickle\""),
            "{error}"
        );
        away(false);
        assert_eq!(gateway.passes().await, Ok(2));
        away(true);
        assert!(gateway.passes().await.is_err());
        // Nobody has changed anything, and nobody has to.
        away(false);
        gateway.ears.0.notified().await;
        assert_eq!(gateway.passes().await, Ok(2));
        // What is approved while it cannot be read is seen when it can.
        gateway.says("evil");
        let left = usize::from(mode == "quarantine");
        assert_eq!(gateway.passes().await, Ok(left));
        away(true);
        assert!(gateway.passes().await.is_err());
        approve(Arc::clone(&shaky.database), "evil").await;
        away(false);
        while gateway.passes().await != Ok(2) {
            gateway.ears.0.notified().await;
        }
        watch.stop().await;
    }
    // A warning is one.
    let config = config(&folder, "warn");
    let shaky = shaky();
    shaky.is_away.store(true, Ordering::Relaxed);
    assert_eq!(on_shaky(&shaky, &config).passes().await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn pins_that_are_gone_from_the_database_are_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "quarantine");
    let shaky = shaky();
    let gateway = on_shaky(&shaky, &config);
    assert_eq!(gateway.passes().await, Ok(2));
    let pins: &dyn mcp_gw_store::Pins = &*shaky.database;
    pins.delete_pins("fickle", None)
        .await
        .unwrap_or_else(|_| panic!("they are there"));
    let error = gateway.passes().await.unwrap_err();
    assert!(error.contains("are gone from the database"), "{error}");
    assert!(pins.pinned_servers().await.unwrap().is_empty());
}

#[tokio::test]
async fn calls_do_not_wait_for_a_judge_that_waits_for_the_database() {
    /// It answers when it is let.
    #[derive(Debug)]
    struct Slow(Shaky, Arc<Notify>, Arc<Notify>);

    #[async_trait]
    impl PinStore for Slow {
        async fn pins(&self, server: &str) -> mcp_gw_store::Result<Rows> {
            self.1.notify_one();
            self.2.notified().await;
            self.0.pins(server).await
        }

        async fn pinned_servers(&self) -> mcp_gw_store::Result<Vec<String>> {
            self.0.pinned_servers().await
        }

        async fn put_pins(
            &self,
            server: &str,
            expected: Option<Revision>,
            pins: Vec<Pin>,
        ) -> mcp_gw_store::Result<Rows> {
            self.0.put_pins(server, expected, pins).await
        }

        fn changes(&self) -> Changes {
            self.0.changes()
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "quarantine");
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let guards = Guards::made(vec![PinMode::Quarantine], || {
        let slow = Slow(shaky(), Arc::clone(&asked), Arc::clone(&go));
        Some(Store::Database(SharedStore::new(slow, None)))
    });
    let gateway = Gateway::of(guards.unwrap(), &config);
    let calling = async {
        // For the look before, and for the first pin.
        for _ in 0..2 {
            asked.notified().await;
            // Of one thread: it would never end if the judge held what this looks at.
            let guard = gateway.guards.made.all().remove(0);
            assert!(!guard.judge().refuses(Feature::Tool, "a"));
            go.notify_one();
        }
    };
    let (passes, ()) = tokio::join!(gateway.passes(), calling);
    assert_eq!(passes, Ok(2));
}

#[tokio::test]
async fn the_file_of_before_is_taken_over_when_the_gateway_begins() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "quarantine");
    let path = folder.path().join("mcp-gw.pins.json");
    let pins = ServerPins::of(&Sight::of(&offer("good")));
    let put = |file: &mut crate::pins::file::PinsFile| {
        file.servers.insert("fickle".to_owned(), pins.clone());
        file.servers.insert("elsewhere".to_owned(), pins);
    };
    FileStore::new(&path).change(put).unwrap();
    let database = sqlite(&folder).await;
    let mut changes = database.changes();
    let gateway = Gateway::on(&database, &config);
    gateway.says("evil");
    assert_eq!(gateway.passes().await, Ok(1), "it was pinned before");
    let mut watch = gateway.guards.watch();
    while database.pinned_servers().await.unwrap() != ["elsewhere", "fickle"] {
        changes.changed().await.unwrap();
    }
    watch.stop().await;
    std::fs::remove_file(&path).unwrap();
    let later = Gateway::on(&database, &config);
    later.says("evil");
    assert_eq!(later.passes().await, Ok(1));
    // A damaged one stops the start, as it does without a database.
    std::fs::write(&path, "{").unwrap();
    let stopped = Guards::stored(&config, Some(&database)).err().unwrap();
    assert!(matches!(stopped, PinsError::Damaged { .. }), "{stopped}");
}

#[tokio::test]
async fn a_file_that_is_named_stays_and_a_database_in_memory_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let beside = folder.path().join("mcp-gw.pins.json");
    let memory: Arc<dyn Database> = Arc::new(MemoryStore::new());
    let gateway = Gateway::on(&memory, &config(&folder, "block"));
    assert_eq!(gateway.passes().await, Ok(2));
    assert!(beside.exists() && memory.pinned_servers().await.unwrap().is_empty());

    let named = folder.path().join("kept.json");
    let mut config = config(&folder, "block");
    config.pins = PinsConfig::new(PinMode::Block, &named);
    let database = sqlite(&folder).await;
    let gateway = Gateway::on(&database, &config);
    assert_eq!(gateway.passes().await, Ok(2));
    assert!(named.exists() && database.pinned_servers().await.unwrap().is_empty());
}
