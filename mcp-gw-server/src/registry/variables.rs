//! Variables of child processes: which change the program, and which go to another one.

use mcp_gw_store::{EnvVars, InstanceSpec};

use super::validate::{Asker, Faults};

impl Faults {
    /// Another program would be given the variables that are there, which may be secrets that nobody may
    /// read: who is no admin gives them anew.
    pub(crate) fn kept_variables(
        &mut self,
        asker: &Asker,
        spec: &InstanceSpec,
        before: &InstanceSpec,
    ) {
        let has_any = |vars: &EnvVars| vars.names().next().is_some();
        let is_other = spec.command != before.command
            || spec.working_dir != before.working_dir
            || spec.transport != before.transport;
        if !asker.is_admin && is_other && spec.env_vars.as_ref().is_some_and(has_any) {
            let message = "must be given in the same request, or be null: another `command`, `working_dir` \
                           or `transport` keeps them for admins only, as their values are not shown";
            self.add(&["env_vars"], "value_error.env_vars", message);
        }
    }
}

/// True for variables by which an allowed program becomes another one.
pub(super) fn changes_the_program(name: &str) -> bool {
    const NAMES: [&str; 27] = [
        "BASH_ENV",
        "CDPATH",
        "CLASSPATH",
        "CURL_CA_BUNDLE",
        "CURL_HOME",
        "ENV",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "HOME",
        "HOSTALIASES",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "LOCPATH",
        "NETRC",
        "NLSPATH",
        "PATH",
        "PATHEXT",
        "REQUESTS_CA_BUNDLE",
        "SHELL",
        "SHELLOPTS",
        "USERPROFILE",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "_JAVA_OPTIONS",
    ];
    const BEGINNINGS: [&str; 28] = [
        "BASH_FUNC_",
        "BUNDLE_",
        "BUN_",
        "CARGO_",
        "COMPOSER_",
        "CONDA_",
        "COREPACK_",
        "DENO_",
        "DOCKER_",
        "DOTNET_",
        "DYLD_",
        "GEM_",
        "GIT_",
        "LD_",
        "MALLOC_",
        "NODE_",
        "NPM_CONFIG_",
        "OPENSSL_",
        "PERL",
        "PIP_",
        "PNPM_",
        "POETRY_",
        "PYTHON",
        "RUBY",
        "RUSTUP_",
        "SSL_",
        "UV_",
        "YARN_",
    ];
    const HARMLESS: [&str; 4] = [
        "NODE_ENV",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
        "PYTHONUTF8",
    ];
    let name = name.to_ascii_uppercase();
    let begins = || BEGINNINGS.iter().any(|begin| name.starts_with(begin));
    // What fetches its code fetches it by these.
    let is_proxy = name.ends_with("_PROXY");
    !HARMLESS.contains(&&*name) && (is_proxy || NAMES.contains(&&*name) || begins())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mcp_gw_store::ServerTransport;

    use super::*;

    #[test]
    fn variables_that_are_kept_go_to_no_other_program() {
        let admin = Asker::new(true, None);
        let mut before = InstanceSpec::stdio(vec!["npx".to_owned(), "a".to_owned()]);
        let variables = BTreeMap::from([("TOKEN".to_owned(), "v".to_owned())]);
        before.env_vars = Some(EnvVars::new(variables));
        let found = |asker: &Asker, spec: &InstanceSpec, before: &InstanceSpec| {
            let mut faults = Faults::default();
            faults.kept_variables(asker, spec, before);
            faults
                .0
                .into_iter()
                .map(|fault| fault.kind)
                .collect::<Vec<_>>()
        };
        let changes: [fn(&mut InstanceSpec); 3] = [
            |spec| spec.command = Some(vec!["npx".to_owned(), "b".to_owned()]),
            |spec| spec.working_dir = Some("/tmp".to_owned()),
            |spec| spec.transport = ServerTransport::Http,
        ];
        for change in changes {
            let mut after = before.clone();
            change(&mut after);
            let user = Asker::default();
            assert_eq!(found(&user, &after, &before), ["value_error.env_vars"]);
            assert_eq!(found(&admin, &after, &before), [""; 0]);
            let mut none = before.clone();
            (none.env_vars, after.env_vars) = (None, None);
            assert_eq!(found(&user, &after, &none), [""; 0]);
        }
        let mut after = before.clone();
        after.is_active = false;
        assert_eq!(found(&Asker::default(), &after, &before), [""; 0]);
    }

    #[test]
    fn what_a_program_loads_and_from_where_it_fetches_is_not_for_all() {
        for name in [
            "PATH",
            "ld_preload",
            "OPENSSL_CONF",
            "https_proxy",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
            "PYTHONUSERBASE",
            "UV_INDEX_URL",
        ] {
            assert!(changes_the_program(name), "{name}");
        }
        for name in ["API_KEY", "GITHUB_TOKEN", "NODE_ENV", "PYTHONUNBUFFERED"] {
            assert!(!changes_the_program(name), "{name}");
        }
    }
}
