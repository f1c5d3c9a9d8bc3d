//! Registered servers and what is pinned of them.

use mcp_gw_store::DatabaseUrl;

use super::upstream::Upstream;
use super::*;
use crate::config::ManagementConfig;
use crate::identity::Management;

async fn sqlite(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let url = format!("sqlite:///{}", folder.path().join("g.db").display());
    let url = DatabaseUrl::parse(&url).unwrap();
    let options = mcp_gw_store::StoreOptions::new();
    mcp_gw_store::open(&url, &options).await.unwrap()
}

#[tokio::test]
async fn they_are_pinned_where_no_file_names_a_server_and_can_be_asked_offline() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder).await;
    let upstream = Upstream::start("w").await;
    let clock = Arc::new(mcp_gw_core::SystemClock::new());
    let section = ManagementConfig::default();
    let management = Management::with_store(&section, Arc::clone(&store), clock).await;
    let launch = Launch::new().with_management(management.unwrap());
    let text = format!("{OPEN}pins: {{ mode: block }}\n");
    let world = World::with(launch, &store, &text).await;
    world.http("w-1", "weather", upstream.url()).await;
    until("it is pinned", async || {
        store.pinned_servers().await.unwrap() == ["weather"]
    })
    .await;
    until("it is offered", async || {
        world.tools().contains(&"weather__who".to_owned())
    })
    .await;
    let kept = store.pins("weather").await.unwrap();
    assert_eq!(kept.pins.len(), 3, "two tools and a prompt");

    // Asked by who is no gateway.
    let section = ManagementConfig {
        allow_private: true,
        ..ManagementConfig::default()
    };
    let servers = servers_of(&*store, &section, Vec::new()).await.unwrap();
    let backend = servers["weather"]
        .as_ref()
        .unwrap_or_else(|fault| panic!("{fault}"));
    let offer = backend.offer().await.unwrap();
    assert_eq!((offer.tools.len(), offer.prompts.len()), (2, 1));
    backend.close().await;
    world.end().await;
}
