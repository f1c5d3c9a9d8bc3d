//! What a registration may say. What is wrong is told with its place in the request.

use std::net::IpAddr;

use mcp_gw_store::{InstanceSpec, ServerTransport};
use mcp_gw_upstream::egress::{AddressRules, check_addresses};
use url::{Host, Url};

use super::RegistryOptions;
use super::make::{HEAVIEST, mcp_url};
use super::variables::changes_the_program;

/// Longer names and texts are refused: bytes.
const LONGEST_NAME: usize = 256;
const LONGEST_URL: usize = 2048;
const LONGEST_TEXT: usize = 4096;
/// Of `config` and `instance_metadata` each, which come back with each list.
const LONGEST_JSON: usize = 65_536;
const MOST_ARGUMENTS: usize = 256;
const MOST_VARIABLES: usize = 256;

/// Something that cannot be accepted, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldFault {
    /// The path to it in the record: `["command"]`, `["env_vars", "PATH"]`.
    pub path: Vec<String>,
    /// What is wrong, for people.
    pub message: String,
    /// A word for programs: `value_error`, `value_error.url`, `value_error.egress`,
    /// `value_error.command`, `value_error.env_vars`, `value_error.too_long`.
    pub kind: &'static str,
}

/// Who asks for a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asker {
    /// Has the scope `admin`.
    pub is_admin: bool,
    /// Where the request comes from, after trusted proxies.
    pub addr: Option<IpAddr>,
}

impl Asker {
    /// Who asks, and from where.
    pub const fn new(is_admin: bool, addr: Option<IpAddr>) -> Self {
        Self { is_admin, addr }
    }

    /// True for an admin on the machine of the gateway: who could start any program without it.
    fn may_run_anything(&self) -> bool {
        let is_here = |addr: IpAddr| addr.to_canonical().is_loopback();
        self.is_admin && self.addr.is_some_and(is_here)
    }
}

/// Collects faults.
#[derive(Default)]
pub(crate) struct Faults(pub(crate) Vec<FieldFault>);

impl Faults {
    pub(super) fn add(&mut self, path: &[&str], kind: &'static str, message: impl Into<String>) {
        self.0.push(FieldFault {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            message: message.into(),
            kind,
        });
    }

    pub(crate) fn name(&mut self, field: &str, name: &str) {
        if name.trim().is_empty() {
            self.add(&[field], "value_error", "must not be empty");
        }
        // Clients take them out of URLs.
        if matches!(name, "." | "..") {
            self.add(&[field], "value_error", "must not be `.` or `..`");
        }
        self.text(&[field], name, LONGEST_NAME);
    }

    fn text(&mut self, path: &[&str], text: &str, longest: usize) {
        if text.len() > longest {
            let message = format!("must not be longer than {longest} bytes");
            self.add(path, "value_error.too_long", message);
        }
        if text.chars().any(char::is_control) {
            self.add(path, "value_error", "must not have control characters");
        }
    }

    /// What `spec` says anew, beside `before`: what was accepted once is not judged again.
    pub(crate) fn spec(
        &mut self,
        options: &RegistryOptions,
        asker: &Asker,
        spec: &InstanceSpec,
        before: Option<&InstanceSpec>,
    ) {
        if before.is_none_or(|before| before.endpoint != spec.endpoint)
            && let Some(endpoint) = &spec.endpoint
        {
            self.endpoint(&options.addresses, endpoint);
        }
        let is_same_child = before.is_some_and(|before| {
            before.command == spec.command
                && before.env_vars == spec.env_vars
                && before.working_dir == spec.working_dir
                && before.transport == spec.transport
        });
        if !is_same_child {
            self.child(options, asker, spec);
        }
        let metadata = [
            (
                "instance_metadata",
                &spec.instance_metadata,
                before.map(|before| &before.instance_metadata),
            ),
            ("config", &spec.config, before.map(|before| &before.config)),
        ];
        for (field, value, before) in metadata {
            if value.as_ref().is_some_and(|value| !value.is_object()) {
                self.add(&[field], "value_error", "must be an object");
            }
            let is_new = before.is_none_or(|before| before != value);
            if is_new
                && value
                    .as_ref()
                    .is_some_and(|value| value.len() > LONGEST_JSON)
            {
                let message = format!("must not be longer than {LONGEST_JSON} bytes");
                self.add(&[field], "value_error.too_long", message);
            }
        }
        let metadata = spec.instance_metadata.as_ref();
        if before.is_none_or(|before| before.instance_metadata.as_ref() != metadata)
            && let Some(metadata) = metadata
            && let Ok(Some(weight)) = metadata.member("weight")
            && !is_weight(weight.as_str())
        {
            let message = format!("must be a whole number from 1 to {HEAVIEST}");
            self.add(&["instance_metadata", "weight"], "value_error", message);
        }
    }

    fn endpoint(&mut self, rules: &AddressRules, endpoint: &str) {
        let at = ["endpoint"];
        self.text(&at, endpoint, LONGEST_URL);
        if endpoint.trim() != endpoint {
            // Who reads URLs leaves blanks away, and the record would show another one than is used.
            return self.add(&at, "value_error.url", "begins or ends with a blank");
        }
        let url = match mcp_url(endpoint).map(|url| Url::parse(&url)) {
            Ok(Ok(url)) => url,
            Ok(Err(error)) => return self.add(&at, "value_error.url", error.to_string()),
            Err(message) => return self.add(&at, "value_error.url", message),
        };
        if !url.username().is_empty() || url.password().is_some() {
            let message = "must not hold a user name or password";
            self.add(&at, "value_error.url", message);
        }
        let loopback = || vec![IpAddr::from([127, 0, 0, 1])];
        let addresses = match url.host() {
            None => return self.add(&at, "value_error.url", "has no host"),
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let is_here = name == "localhost" || name.ends_with(".localhost");
                // Other names are judged by what they lead to, each time that they are connected to.
                if is_here { loopback() } else { return }
            }
        };
        if check_addresses(&addresses, rules).is_err() {
            let message = "leads to an address that may not be connected to: private, loopback, \
                           link-local and metadata addresses may not; those in private networks and on this \
                           machine may with `management.allow_private` (`allow_private` in gateway.yaml, \
                           or `GATEWAY_ALLOW_PRIVATE=true`)";
            self.add(&at, "value_error.egress", message);
        }
    }

    fn child(&mut self, options: &RegistryOptions, asker: &Asker, spec: &InstanceSpec) {
        let variables = spec.env_vars.iter().flat_map(mcp_gw_store::EnvVars::names);
        let variables: Vec<&str> = variables.collect();
        if variables.len() > MOST_VARIABLES {
            self.add(
                &["env_vars"],
                "value_error.too_long",
                "has too many variables",
            );
        }
        for name in &variables {
            if name.is_empty() || name.contains(['=', '\0']) {
                let path = ["env_vars", name];
                self.add(&path, "value_error", "cannot be the name of a variable");
            }
        }
        if let Some(folder) = &spec.working_dir {
            self.text(&["working_dir"], folder, LONGEST_TEXT);
        }
        let Some(command) = &spec.command else {
            return;
        };
        let Some(program) = command.first().filter(|program| !program.is_empty()) else {
            if spec.transport == ServerTransport::Stdio || !command.is_empty() {
                self.add(&["command"], "value_error", "must name a program");
            }
            return;
        };
        if command.len() > MOST_ARGUMENTS {
            self.add(
                &["command"],
                "value_error.too_long",
                "has too many arguments",
            );
        }
        for (index, text) in command.iter().enumerate() {
            if text.len() > LONGEST_TEXT || text.contains('\0') {
                let message = "is too long or holds a zero byte";
                self.add(&["command", &index.to_string()], "value_error", message);
            }
        }
        if options.local_commands && asker.may_run_anything() {
            return;
        }
        // A relative path would be found in a folder that the caller names.
        let is_rooted = |path: &str| !path.contains(['/', '\\']) || path.starts_with('/');
        let is_allowed = options.allowed_commands.iter().any(|one| one == program);
        if !is_allowed || !is_rooted(program) {
            let message = format!(
                "`{program}` is not among the programs that may be registered: add it to \
                 `management.allowed_commands`, or register it as an admin on the machine of the gateway"
            );
            self.add(&["command"], "value_error.command", message);
        }
        for name in variables.iter().filter(|name| changes_the_program(name)) {
            let message = "changes which program is run, or what it loads: only an admin on the machine \
                           of the gateway may set it";
            self.add(&["env_vars", name], "value_error.command", message);
        }
    }
}

fn is_weight(json: &str) -> bool {
    let number = json.trim().parse::<u32>();
    number.is_ok_and(|number| (1..=HEAVIEST).contains(&number))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mcp_gw_core::RawJson;
    use mcp_gw_store::EnvVars;

    use super::*;

    fn faults(options: &RegistryOptions, asker: &Asker, spec: &InstanceSpec) -> Vec<FieldFault> {
        let mut faults = Faults::default();
        faults.spec(options, asker, spec, None);
        faults.0
    }

    #[test]
    fn an_endpoint_leads_where_it_may_or_is_refused_in_its_place() {
        let asker = Asker::new(true, Some([127, 0, 0, 1].into()));
        let options = RegistryOptions::new();
        for endpoint in [
            "http://127.0.0.1:1",
            "http://localhost:1",
            "http://a.LOCALHOST./",
            "http://[::1]/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://169.254.169.254/",
            "http://10.0.0.1/",
            "http://[::ffff:10.0.0.1]/",
            "http://u:p@example.com/",
            "ftp://example.com",
            "",
            "x",
            "http://",
            "http://exa\u{7}mple.com/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            " https://example.com",
            "https://example.com\n",
        ] {
            let found = faults(&options, &asker, &InstanceSpec::http(endpoint));
            assert!(!found.is_empty(), "{endpoint}");
            assert!(
                found.iter().all(|fault| fault.path == ["endpoint"]),
                "{found:?}"
            );
        }
        for endpoint in [
            "https://example.com",
            "http://8.8.8.8/mcp",
            "https://example.com:8/x?y",
        ] {
            assert_eq!(faults(&options, &asker, &InstanceSpec::http(endpoint)), []);
        }
        let mut private = RegistryOptions::new();
        private.addresses = AddressRules::new().with_private(true);
        let local = InstanceSpec::http("http://127.0.0.1:1");
        assert_eq!(faults(&private, &asker, &local), []);
        let metadata = InstanceSpec::http("http://169.254.169.254/");
        assert_eq!(faults(&private, &asker, &metadata).len(), 1);
    }

    #[test]
    fn a_weight_is_a_whole_number_from_1() {
        let (options, asker) = (RegistryOptions::new(), Asker::default());
        let of = |weight: &str| {
            let mut spec = InstanceSpec::http("https://example.com");
            let metadata = format!("{{\"weight\": {weight}, \"data\": 1.5}}");
            spec.instance_metadata = RawJson::parse(metadata).ok();
            spec
        };
        for weight in ["1", "3", "1000000"] {
            assert_eq!(faults(&options, &asker, &of(weight)), [], "{weight}");
        }
        for weight in ["0", "-1", "1.5", "\"3\"", "null", "[]", "1e3", "9000000000"] {
            let found = faults(&options, &asker, &of(weight));
            assert_eq!(found.len(), 1, "{weight}");
            assert_eq!(found[0].path, ["instance_metadata", "weight"]);
            // What an older version has taken can stay.
            let mut kept = Faults::default();
            kept.spec(&options, &asker, &of(weight), Some(&of(weight)));
            assert_eq!(kept.0, []);
        }
    }

    #[test]
    fn a_program_is_allowed_or_its_asker_is_an_admin_here() {
        let mut options = RegistryOptions::new();
        options.allowed_commands = vec!["npx".to_owned(), "./x".to_owned()];
        let from = |addr: &str| Some(addr.parse().unwrap());
        let here = Asker::new(true, from("::ffff:127.0.0.1"));
        let others = [
            Asker::new(false, from("127.0.0.1")),
            Asker::new(true, from("10.0.0.1")),
            Asker::new(true, None),
        ];
        let spec = |words: &[&str]| {
            InstanceSpec::stdio(words.iter().map(|&word| word.to_owned()).collect())
        };
        for words in [
            &["sh", "-c", "id"][..],
            &["./x"],
            &["/usr/bin/npx"],
            &["../npx"],
        ] {
            assert_eq!(faults(&options, &here, &spec(words)), []);
            for asker in &others {
                let found = faults(&options, asker, &spec(words));
                assert_eq!(found[0].path, ["command"], "{words:?}");
            }
        }
        let mut npx = spec(&["npx", "-y", "server"]);
        assert_eq!(faults(&options, &others[1], &npx), []);
        for (name, is_fine) in [("API_KEY", true), ("PATH", false), ("ld_preload", false)] {
            let variables = BTreeMap::from([(name.to_owned(), "v".to_owned())]);
            npx.env_vars = Some(EnvVars::new(variables));
            let found = faults(&options, &others[0], &npx);
            assert_eq!(found.is_empty(), is_fine, "{name}: {found:?}");
            assert!(found.iter().all(|fault| fault.path == ["env_vars", name]));
        }
        // A proxy on this machine may speak for others.
        options.local_commands = false;
        assert_eq!(faults(&options, &here, &spec(&["sh"]))[0].path, ["command"]);
        assert_eq!(faults(&options, &here, &spec(&["npx"])), []);
        for words in [&[""][..], &[]] {
            assert!(!faults(&options, &here, &spec(words)).is_empty());
        }
        // The same on a record over HTTP: it could become a child process later.
        let mut data = spec(&["sh"]);
        data.transport = ServerTransport::Http;
        assert!(!faults(&options, &others[0], &data).is_empty());
    }

    #[test]
    fn objects_of_owners_are_bounded() {
        let (options, asker) = (RegistryOptions::new(), Asker::default());
        let object = |length: usize| {
            let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
            Some(mcp_gw_core::RawJson::parse(text).unwrap())
        };
        let mut spec = InstanceSpec::new();
        (spec.config, spec.instance_metadata) = (object(LONGEST_JSON), object(LONGEST_JSON));
        assert_eq!(faults(&options, &asker, &spec), []);
        spec.config = object(LONGEST_JSON + 1);
        assert_eq!(faults(&options, &asker, &spec)[0].path, ["config"]);
        let mut kept = Faults::default();
        kept.spec(&options, &asker, &spec, Some(&spec));
        assert_eq!(kept.0, [], "it was longer when it came");
        spec.instance_metadata = object(LONGEST_JSON + 1);
        assert_eq!(faults(&options, &asker, &spec).len(), 2);
    }

    #[test]
    fn what_was_accepted_once_stays() {
        let before = InstanceSpec::stdio(vec!["sh".to_owned()]);
        let mut after = before.clone();
        after.is_active = false;
        let mut found = Faults::default();
        let (options, asker) = (RegistryOptions::new(), Asker::default());
        found.spec(&options, &asker, &after, Some(&before));
        assert_eq!(found.0, []);
        after.working_dir = Some("/tmp".to_owned());
        found.spec(&options, &asker, &after, Some(&before));
        assert_eq!(found.0.len(), 1);
    }
}
