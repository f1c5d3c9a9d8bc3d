//! A gateway with ten thousand servers that nobody can reach and a hundred thousand keys, and one server that is well.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Uri;
use mcp_gw_core::{Caller, CallerKind, Secret};
use mcp_gw_server::{
    config::ManagementConfig,
    identity::{ISSUER, Identity, KeyOrder, Management, Principal, Scope},
};
use mcp_gw_store::{Health, InstanceSpec, NewInstance, NewTemplate, ServerStatus, Store};
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Bench, Database, PASSWORD, SERVER,
    api::{Api, Job, Work},
    base::Base,
    configuration, plan,
    report::Crowd,
};
use crate::{
    children::Children,
    client::Connection,
    note, procfs,
    wire::{Answers, Eras, Failure},
};

/// Fills a database, has a gateway start with it, and looks how it does.
pub(super) async fn measure(
    bench: &Bench<'_>,
    base: &Base,
    children: &mut Children,
) -> Result<Crowd, Failure> {
    let (_, upstream) = children.upstream(10, Eras::Both, Answers::Json).await?;
    let silent = Silent::open().await?;
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let (url, keys) = filled(bench, base, folder.path(), &upstream, &silent.url).await?;
    let (servers, count) = (bench.options.servers, bench.options.keys);
    let filled = begun.elapsed();
    note(&format!(
        "{}: {servers} servers and {count} keys are in the database after {filled:.1?}",
        base.database.name()
    ));
    let file = configuration(folder.path(), &url)?;
    let begun = Instant::now();
    let (pid, mcp) = children
        .managed(&bench.program, &file, PASSWORD, bench.core, PATIENCE)
        .await?;
    let listening = begun.elapsed();
    let mcp: Uri = mcp.parse()?;
    let key = keys.first().ok_or("there is no key")?;
    let by_api = first_by_api(&mcp, key, begun).await?;
    let by_mcp = first_by_mcp(&mcp, key, begun).await?;
    sleep(IDLE).await;
    let idle_kib = procfs::resident_kib(pid)?;
    let mut api = Api::open(&mcp).await?;
    let token = api.login("admin", PASSWORD).await?;
    let mut lists = Vec::new();
    for path in [
        "/servers?limit=100",
        "/servers",
        "/auth/api-keys?limit=100",
        "/auth/api-keys?limit=1000",
    ] {
        let begun = Instant::now();
        let body = api.get(path, &token).await?;
        let took = begun.elapsed();
        note(&format!("{}: {path}: {took:.1?}", base.database.name()));
        lists.push((path, took, body.len()));
    }
    let time = Duration::from_secs(bench.options.seconds);
    let asked = plan(&mcp, bench.options.payload, key);
    let echo = || Work::Echo(SERVER.to_owned());
    let one = Job::new(echo(), &asked, std::slice::from_ref(key))?;
    let any = Job::new(echo(), &asked, &keys)?;
    one.run(&mcp, 1, Duration::from_millis(500)).await?;
    let one = one.run(&mcp, 1, time).await?;
    let any = any.run(&mcp, 1, time).await?;
    for outcome in [&one, &any] {
        note(&format!("{}: {outcome}", base.database.name()));
    }
    let (from, before) = (Instant::now(), procfs::cpu_time(pid)?);
    sleep_until(begun + Duration::from_secs(bench.options.watch)).await;
    sleep(IDLE).await;
    let idle_cpu = procfs::cpu_time(pid)?.saturating_sub(before).as_secs_f64();
    let idle_cpu = idle_cpu / from.elapsed().as_secs_f64();
    Ok(Crowd {
        database: base.database.name(),
        servers,
        keys: count,
        listening,
        by_api,
        by_mcp,
        idle_kib,
        lists,
        one,
        any,
        idle_cpu,
        end_kib: procfs::resident_kib(pid)?,
        most_kib: procfs::most_resident_kib(pid)?,
        connections: silent.most(),
    })
}

/// The time until the upstream is called by its id. What is no answer yet is asked again.
async fn first_by_api(url: &Uri, key: &str, begun: Instant) -> Result<Duration, Failure> {
    let call = Job::new(
        Work::Echo(SERVER.to_owned()),
        &plan(url, 16, key),
        &[key.to_owned()],
    )?;
    loop {
        let mut outcome = call.run(url, 1, Duration::from_millis(1)).await?;
        if outcome.latencies.count() > 0 {
            return Ok(begun.elapsed());
        }
        let why = outcome.first_error.take().unwrap_or_default();
        if begun.elapsed() > PATIENCE {
            return Err(format!("no right answer at /tools/call: {why}").into());
        }
        sleep(AGAIN).await;
    }
}

/// The time until the upstream is called by the name of its tool.
async fn first_by_mcp(url: &Uri, key: &str, begun: Instant) -> Result<Duration, Failure> {
    let plan = plan(url, 16, key);
    loop {
        let mut connection = Connection::open(&plan).await?;
        let call = timeout(Duration::from_secs(10), connection.call(1, 1)).await;
        let why = match call {
            Ok(Ok(())) => return Ok(begun.elapsed()),
            Ok(Err(error)) => error.why(),
            Err(_) => "no answer within ten seconds".into(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(format!("no right answer at the MCP endpoint: {why}").into());
        }
        sleep(AGAIN).await;
    }
}

/// A filled database, and the texts of its keys.
async fn filled(
    bench: &Bench<'_>,
    base: &Base,
    folder: &Path,
    upstream: &str,
    silent: &str,
) -> Result<(String, Vec<String>), Failure> {
    let url = base.url("crowd", folder).await?;
    // Each write waits for the disk: in memory that takes no time, and the file is then put where it belongs.
    let quick = (base.database == Database::Sqlite && Path::new(SHM).is_dir())
        .then(|| tempfile::tempdir_in(SHM))
        .transpose()?;
    let place = match &quick {
        Some(quick) => base.url("crowd", quick.path()).await?,
        None => url.clone(),
    };
    let mut config = ManagementConfig::default();
    config.database_url = Secret::new(place);
    config.admin_password = Some(Secret::new(PASSWORD.to_owned()));
    config.audit.enabled = false;
    let management = Management::open(&config).await?;
    let store = management.store();
    servers(&**store, bench.options.servers, upstream, silent).await?;
    let admin = store.user_by_name("admin").await?;
    let claims = json!({ "user_id": admin.id.get(), "username": "admin", "superuser": true });
    let caller = Caller::new(CallerKind::User, "admin")
        .with_issuer(ISSUER)
        .with_scopes([Scope::Admin.as_str()])
        .with_claims(claims.as_object().cloned().unwrap_or_default());
    let admin = Principal::of(&caller).ok_or("the admin is nobody")?;
    let keys = keys(management.identity(), &admin, bench.options.keys).await?;
    management.close().await;
    if let Some(quick) = quick {
        for entry in fs::read_dir(quick.path())? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    Ok((url, keys))
}

/// The upstream, which was well when a gateway last asked, among those that nobody can reach: half of them refuse, half of
/// them are silent.
async fn servers(
    store: &dyn Store,
    count: u32,
    upstream: &str,
    silent: &str,
) -> Result<(), Failure> {
    // One that was free a moment ago hardly ever is not.
    let refusing = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let refusing = format!("http://{refusing}/mcp");
    let add = async |name: &str, endpoint: &str, health| -> Result<(), Failure> {
        store.create_template(NewTemplate::new(name)).await?;
        let mut instance = NewInstance::new(name, name, InstanceSpec::http(endpoint));
        instance.health = Health::of(health);
        store.create_instance(instance).await?;
        Ok(())
    };
    let middle = count / 2;
    for number in 0..count {
        if number == middle {
            add(SERVER, upstream, ServerStatus::Healthy).await?;
        }
        let endpoint = if number % 2 == 0 { silent } else { &refusing };
        let name = format!("away-{number:05}");
        add(&name, endpoint, ServerStatus::Unhealthy).await?;
    }
    Ok(())
}

/// So many keys of the admin, which may call tools.
async fn keys(identity: &Identity, admin: &Principal, count: u32) -> Result<Vec<String>, Failure> {
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (identity, admin) = (identity.clone(), admin.clone());
        lanes.spawn(async move {
            let mut texts = Vec::new();
            for number in (lane..count).step_by(LANES as usize) {
                let mut order = KeyOrder::new(format!("key {number}"));
                order.scopes = vec!["tools:call".to_owned()];
                let issued = identity.create_key(&admin, order).await?;
                texts.push(issued.text.expose().clone());
            }
            Ok::<_, Failure>(texts)
        });
    }
    let mut texts = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        texts.extend(lane??);
    }
    Ok(texts)
}

/// A server that takes connections, and never says a word.
struct Silent {
    url: String,
    most: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Silent {
    async fn open() -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let accepting = tokio::spawn(async move {
            let open = Arc::new(AtomicUsize::new(0));
            // Without room for another one there are more than the machine lets this program have.
            while let Ok((mut stream, _)) = listener.accept().await {
                let now = open.fetch_add(1, Ordering::Relaxed) + 1;
                seen.fetch_max(now, Ordering::Relaxed);
                let open = Arc::clone(&open);
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    while let Ok(1..) = stream.read(&mut piece).await {}
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(Self {
            url,
            most,
            accepting,
        })
    }

    /// The most connections that were open at once.
    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

const LANES: u32 = 16;
const SHM: &str = "/dev/shm";
const AGAIN: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(1);
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(300);
