//! `policy explain`: one request, how it would be decided, and why.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use mcp_gw_core::{Effect, Feature, RawJson, ToolSpec};
use mcp_gw_policy::{Case, CaseCaller, Expected, Explanation};
use serde_json::{Value, json};

use super::subject::Subject;
use super::{Format, Outcome, quoted, runtime, say_json, warn};
use crate::cli::{asked, status_lines};
use crate::config::read_file;

mod advice;
mod report;

#[derive(Debug, Clone, Args)]
pub(super) struct ExplainArgs {
    /// The policy, or the configuration of a gateway that has one, such as mcp-gw.yaml
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Who asks: the id of a key in the configuration, `anonymous`, `local`, a file with a caller, or a
    /// caller as `{id: ann, groups: [staff]}` with `id`, `kind`, `issuer`, `roles`, `groups`, `scopes`
    /// and `claims`
    #[arg(long = "as", value_name = "CALLER")]
    caller: String,

    /// The address that the request comes from, after trusted proxies
    #[arg(long, value_name = "ADDRESS")]
    from_ip: Option<IpAddr>,

    /// The server that offers it
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// What the server itself calls it
    #[arg(long, value_name = "NAME")]
    upstream_name: Option<String>,

    /// A header of the HTTP request that conditions see, as `name: value`; may be given several times
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,

    /// What a completion is for: `prompt`, `resource` or `resource_template`
    #[arg(long, value_name = "FEATURE")]
    feature: Option<String>,

    /// Ask the servers of the configuration who offers it, and what it says of itself
    #[arg(long)]
    ask: bool,

    /// How the explanation looks
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    /// The method, such as `tools/call`, or `tools/list` for whether it is seen
    method: String,

    /// The name or URI as clients see it
    name: String,

    /// The arguments of a call as a JSON object
    #[arg(value_name = "ARGUMENTS")]
    arguments: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_lowercase(), value.trim().to_owned()))
        }
        _ => Err("write it as `name: value`".to_owned()),
    }
}

/// One request and what became of it.
struct Told<'a> {
    subject: &'a Subject,
    case: &'a Case,
    explanation: Explanation,
}

pub(super) fn run(args: &ExplainArgs) -> Result<Outcome, String> {
    let file = args.config.display().to_string();
    let subject = Subject::open(&args.config).map_err(|refusal| refusal.in_words(&file))?;
    let engine = subject.engine()?;
    let mut case = case_of(args, &subject)?;
    let mut found = None;
    if args.ask {
        found = runtime()?.block_on(look_up(subject.to_ask()?, &mut case, args))?;
    } else {
        let server = args.server.clone();
        case.server = server.unwrap_or_else(|| server_of(&subject, &args.name));
    }
    let explanation = case.with_request(|request| {
        let mut request = request.clone();
        request.tool = found.as_ref();
        engine.explain(&request)
    })?;
    let told = Told {
        subject: &subject,
        case: &case,
        explanation,
    };
    match args.format {
        Format::Text => report::say(&told)?,
        Format::Json => say_json(&told.to_json()?)?,
    }
    Ok(Outcome::Good)
}

/// The request that is asked about.
fn case_of(args: &ExplainArgs, subject: &Subject) -> Result<Case, String> {
    let mut case = Case::new(&*args.method, &*args.name, Expected::Allow);
    case.caller = caller_of(&args.caller, &subject.callers)?;
    case.from = args.from_ip;
    case.headers = args.headers.iter().cloned().collect();
    case.feature.clone_from(&args.feature);
    if args.method.starts_with("completion/") && args.feature.is_none() {
        return Err(
            "say what is completed: --feature prompt, resource or resource_template".to_owned(),
        );
    }
    case.upstream_name.clone_from(&args.upstream_name);
    if let Some(text) = &args.arguments {
        let example = "write an object, such as '{\"city\": \"Bern\"}', in quotes for your shell";
        let raw = RawJson::parse(text.clone().into_bytes())
            .map_err(|error| format!("the arguments are no JSON: {error}; {example}"))?;
        if !raw.is_object() {
            return Err(format!("the arguments are no JSON object; {example}"));
        }
        if args.method.ends_with("/list") {
            return Err("a list has no arguments; leave them out".to_owned());
        }
        case.arguments_text = Some(text.clone());
    }
    Ok(case)
}

/// Who is meant on the command line.
fn caller_of(text: &str, known: &BTreeMap<String, CaseCaller>) -> Result<CaseCaller, String> {
    let read = |text: &str, from: &str| {
        let caller = CaseCaller::from_yaml(text).map_err(|faults| format!("{from}: {faults}"))?;
        caller.among(known).cloned()
    };
    if text.trim_start().starts_with('{') {
        return read(text, "--as");
    }
    let named = CaseCaller::named(text);
    let unknown = match named.among(known) {
        Ok(caller) => return Ok(caller.clone()),
        Err(error) => error,
    };
    let path = Path::new(text);
    let is_file = path
        .extension()
        .is_some_and(|end| ["json", "yaml", "yml"].iter().any(|one| end == *one));
    if !is_file && !path.is_file() {
        return Err(format!("--as: {unknown}"));
    }
    let written = read_file(path).map_err(|faults| {
        let faults = faults.to_string();
        faults.lines().next().unwrap_or_default().to_owned()
    })?;
    read(&written, text)
}

/// The server that a name most likely belongs to: the only one, or the one that it begins with.
fn server_of(subject: &Subject, name: &str) -> String {
    let Some(config) = &subject.config else {
        return String::new();
    };
    let mut servers = config.servers.iter();
    if let (Some((only, _)), None) = (servers.next(), servers.next()) {
        return only.clone();
    }
    let owner = config.servers.iter().find(|(server, settings)| {
        let prefix = settings.prefix_name.as_deref().unwrap_or(server);
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with("__"))
    });
    owner.map(|(server, _)| server.clone()).unwrap_or_default()
}

/// Asks the servers who offers it: fills in the server and its name there, and gives the tool.
async fn look_up(
    config: &crate::config::Config,
    case: &mut Case,
    args: &ExplainArgs,
) -> Result<Option<ToolSpec>, String> {
    let gateway = asked(config).await?;
    let status = gateway.status();
    if status.iter().any(|server| !server.is_up) {
        for line in status_lines(&status) {
            warn(&line);
        }
    }
    let feature = case.with_request(|request| request.feature)?;
    let catalogue = gateway.catalogue();
    let entries = catalogue.entries(feature).iter();
    let of_server = |server: &str| args.server.as_deref().is_none_or(|name| name == server);
    let mut entries = entries.filter(|entry| of_server(&entry.server));
    let found = entries.find(|entry| *entry.canonical == *args.name);
    let tool = if let Some(entry) = found {
        case.server = entry.server.to_string();
        if case.upstream_name.is_none() {
            case.upstream_name = Some(entry.own_name.to_string());
        }
        // Where a tool leads to several servers, the arguments say which one it is.
        if let Some(choice) = entry.tool.as_ref().and_then(ToolSpec::choice) {
            let chosen = case.with_request(|request| {
                let server = request.arguments.and_then(|args| choice.server_of(args));
                server.map(ToString::to_string)
            })?;
            if let Some(chosen) = chosen {
                case.server = chosen;
            }
        }
        entry.tool.clone()
    } else {
        case.server = args.server.clone().unwrap_or_default();
        let names = catalogue.entries(feature).iter();
        let names = names.map(|entry| &*entry.canonical);
        warn(&not_offered(feature, &args.name, names));
        None
    };
    gateway.close().await;
    Ok(tool)
}

fn not_offered<'n>(feature: Feature, name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let kind = feature.as_str().replace('_', " ");
    let some: Vec<_> = names.take(8).collect();
    let there = match &*some {
        [] => "none is offered at all".to_owned(),
        some => format!(
            "offered are, among others, {}",
            quoted(some.iter().copied())
        ),
    };
    format!(
        "no server offers a {kind} `{name}`, so a client is told that it does not exist; {there}"
    )
}

impl Told<'_> {
    fn to_json(&self) -> Result<Value, String> {
        let mut value = serde_json::to_value(&self.explanation).map_err(|e| e.to_string())?;
        let caller = self.case.caller.to_caller()?;
        let arguments = self
            .case
            .arguments_text
            .as_deref()
            .map(serde_json::from_str::<Value>);
        if let Some(members) = value.as_object_mut() {
            let request = json!({
                "caller": CaseCaller::from(&caller),
                "from": self.case.from,
                "method": self.case.method,
                "name": self.case.name,
                "server": self.case.server,
                "arguments": arguments.transpose().map_err(|error| error.to_string())?,
            });
            members.insert("request".to_owned(), request);
        }
        Ok(value)
    }
}

/// `allowed` or `denied`.
pub(super) const fn came_out(told: &Explanation) -> &'static str {
    word(told.effect)
}

const fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allowed",
        Effect::Deny => "denied",
    }
}

/// Why a decision came out as it did, in a few words.
pub(super) fn why(told: &Explanation) -> String {
    let why = told.reason.sentence(&told.rules);
    match &told.detail {
        Some(detail) => format!("{why}: {detail}"),
        None => why,
    }
}
