//! Commands about pins in a database.

use std::sync::Arc;

use mcp_gw_core::{Offer, ToolSpec};
use mcp_gw_store::{DatabaseUrl, InstanceSpec, NewInstance, Store as Database, StoreOptions};

use super::*;
use crate::pins::{FileStore, ServerPins, SharedStore};

/// A folder with a configuration whose database is in it, too.
struct Scene(tempfile::TempDir);

impl Scene {
    /// `rest` follows what is in every configuration.
    fn new(rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("g.db");
        let text = format!(
            "policy: {{ default: allow }}\nservers: {{ docs: {{ command: nobody }} }}\n{}\n",
            rest.replace("DATABASE", &format!("sqlite:///{}", url.display()))
        );
        std::fs::write(folder.path().join("mcp-gw.yaml"), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn open(&self, has_database: bool) -> Result<Pins, String> {
        Pins::open(Some(&self.path("mcp-gw.yaml")), has_database).await
    }

    /// As a gateway has it.
    async fn database(&self) -> Arc<dyn Database> {
        let url = format!("sqlite:///{}", self.path("g.db").display());
        let url = DatabaseUrl::parse(&url).unwrap();
        mcp_gw_store::open(&url, &StoreOptions::new())
            .await
            .unwrap()
    }
}

const STORED: &str = "pins: { mode: block }\nmanagement: { database_url: \"DATABASE\" }";

fn sight(description: &str) -> Sight {
    let tool = ToolSpec::new("read", description).unwrap();
    Sight::of(&Offer::of_tools(vec![tool]))
}

fn pinned(description: &str) -> ServerPins {
    ServerPins::of(&sight(description))
}

#[tokio::test]
async fn what_is_approved_in_the_database_is_what_gateways_find_there() {
    let scene = Scene::new(STORED);
    let gateway = SharedStore::new(scene.database().await, None);
    let first = gateway.pin_first("docs", &pinned("good")).await;
    assert!(first.is_ok());
    let pins = scene.open(true).await.unwrap();
    let diff = async |text| pins.diff("docs", &sight(text)).await;
    let approve = async |items: &[String]| pins.approve("docs", &sight("better"), items).await;
    assert_eq!(diff("good").await, Ok(Outcome::Same));
    assert_eq!(diff("better").await, Ok(Outcome::Differs));
    assert_eq!(approve(&["no".to_owned()]).await, Ok(Outcome::Trouble));
    assert_eq!(
        gateway.find("docs").await.unwrap().pins,
        Some(pinned("good"))
    );
    assert_eq!(approve(&["read".to_owned()]).await, Ok(Outcome::Same));
    assert_eq!(
        gateway.find("docs").await.unwrap().pins,
        Some(pinned("better"))
    );
    assert_eq!(diff("better").await, Ok(Outcome::Same));
    let servers = pins.servers(&[]).unwrap();
    assert_eq!(pins.show(&servers).await, Ok(Outcome::Same));
    pins.close().await;
    assert!(!scene.path("mcp-gw.pins.json").exists());
}

#[tokio::test]
async fn the_file_from_before_counts_until_the_database_has_more() {
    let scene = Scene::new(STORED);
    let file = FileStore::new(scene.path("mcp-gw.pins.json"));
    let put = file.change(|file| file.servers.insert("docs".to_owned(), pinned("good")));
    put.unwrap();
    let pins = scene.open(true).await.unwrap();
    assert_eq!(
        pins.diff("docs", &sight("evil")).await,
        Ok(Outcome::Differs)
    );
    let approved = pins.approve("docs", &sight("better"), &[]).await;
    assert_eq!(approved, Ok(Outcome::Same));
    assert_eq!(pins.of("docs").await, Ok(Some(pinned("better"))));
    let file = file.read().unwrap().unwrap();
    assert_eq!(file.servers["docs"], pinned("good"));
    // A program without a database has its own.
    let own = scene.open(false).await.unwrap();
    assert_eq!(own.of("docs").await, Ok(Some(pinned("good"))));
}

#[tokio::test]
async fn a_file_that_is_named_is_where_they_are() {
    let scene = Scene::new(
        "pins: { mode: block, file: kept.json }\nmanagement: { database_url: \"DATABASE\" }",
    );
    let pins = scene.open(true).await.unwrap();
    let approved = pins.approve("docs", &sight("good"), &[]).await;
    assert_eq!(approved, Ok(Outcome::Same));
    assert!(scene.path("kept.json").exists());
    let kept = scene.database().await.pinned_servers().await.unwrap();
    assert!(kept.is_empty());
}

#[tokio::test]
async fn a_database_in_memory_leaves_them_in_the_file_and_is_said_to_be_out_of_sight() {
    let scene =
        Scene::new("pins: { mode: block }\nmanagement: { database_url: \"sqlite:///:memory:\" }");
    let pins = scene.open(true).await.unwrap();
    let approved = pins.approve("docs", &sight("good"), &[]).await;
    assert_eq!(approved, Ok(Outcome::Same));
    assert!(scene.path("mcp-gw.pins.json").exists());
    let unknown = pins.servers(&["weather".to_owned()]).err().unwrap();
    assert!(
        unknown.contains("in memory") && unknown.contains("nothing to approve"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_said_without_its_password() {
    let scene = Scene::new(
        "pins: { mode: block }\nmanagement: { database_url: \"sqlite:////no/such/folder/g.db\" }",
    );
    let error = scene.open(true).await.err().unwrap();
    assert!(error.contains("sqlite:////no/such/folder/g.db"), "{error}");
    let scene = Scene::new(
        "pins: { mode: block }\nmanagement: { database_url: \"postgresql://me:secret@127.0.0.1:1/g\" }",
    );
    let error = scene.open(true).await.err().unwrap();
    assert!(
        error.contains("127.0.0.1:1/g") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn servers_that_were_registered_can_be_named() {
    let scene = Scene::new(STORED);
    let database = scene.database().await;
    for (id, template, spec) in [
        (
            "w-1",
            "weather",
            InstanceSpec::http("http://198.51.100.1/mcp"),
        ),
        ("d-1", "docs", InstanceSpec::http("http://198.51.100.1/mcp")),
    ] {
        let new = NewInstance::new(id, template, spec);
        database.create_instance(new).await.unwrap();
    }
    let pins = scene.open(true).await.unwrap();
    let servers = pins.servers(&["weather".to_owned()]).unwrap();
    assert_eq!(
        (servers[0].name, servers[0].mode),
        ("weather", PinMode::Block)
    );
    let all = pins.servers(&[]).unwrap();
    let names: Vec<_> = all.iter().map(|server| server.name).collect();
    assert_eq!(
        names,
        ["docs", "weather"],
        "what the configuration has stays"
    );
    let unknown = pins.servers(&["rain".to_owned()]).err().unwrap();
    assert!(unknown.contains("docs, weather"), "{unknown}");
}
