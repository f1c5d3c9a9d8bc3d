//! What the sections of Kong Konnect and of a Kong Gateway have in common.

/// A section: the keys of its own with the values that they have unless they are given, and those that all have whose tools
/// read lists of entities. It makes the method `resolve`, for which the section says:
///
/// - `beginning`: what its tools are made with before anything was looked at;
/// - `address`, `credential`: as [`Common`](super::admin_api::Common) has them;
/// - `own_faults`: what is wrong with keys of its own;
/// - `fill`: how these, and what holds the credential, go into what its tools are made with.
macro_rules! kong_section {
    (
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $given:ty),*) for $config:ident by $backend:ident, token in $token_file:ident
        $(#[$new_doc:meta])*
        {
            $($(#[$field_doc:meta])* $vis:vis $field:ident: $type:ty = $value:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])*
            $vis $field: $type,)*
            /// A file that holds the token; blanks and line ends around it are ignored.
            pub $token_file: Option<PathBuf>,
            /// Only these tools, by the names that the server gives them; all if not given.
            pub tools: Option<Vec<String>>,
            /// Not these tools.
            #[serde(default)]
            pub exclude_tools: Vec<String>,
            /// Documentation that `KnowledgeBaseSearch` searches: a folder, an archive (`.tar.gz`, `.tar`, `.zip`), or an
            /// index of it that `mcp-gw-http docs index` wrote; without it the tool is not listed.
            pub docs: Option<PathBuf>,
            /// A file of the certificates of authorities, in PEM, that are believed instead of those of the
            /// system.
            pub ca_file: Option<PathBuf>,
            /// A proxy that requests go through, such as `http://proxy.example.com:3128`.
            #[schemars(extend("writeOnly" = true))]
            pub proxy: Option<Secret<String>>,
            /// How long a list in an answer may be; from `1KiB` to `1MiB`.
            #[serde(default = "answer_size")]
            pub answer_size: ByteSize,
            /// How many entities of one list are read at most.
            #[serde(default = "max_items")]
            #[schemars(range(min = 1, max = 100_000))]
            pub max_items: u32,
        }

        impl $name {
            $(#[$new_doc])*
            pub fn new($($argument: $given),*) -> Self {
                Self {
                    $($field: $value,)*
                    $token_file: None,
                    tools: None,
                    exclude_tools: Vec::new(),
                    docs: None,
                    ca_file: None,
                    proxy: None,
                    answer_size: answer_size(),
                    max_items: max_items(),
                }
            }

            /// The files that are read with it.
            pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
                self.$token_file
                    .iter_mut()
                    .chain(&mut self.ca_file)
                    .chain(&mut self.docs)
            }

            /// The same, to be looked at.
            pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
                self.$token_file.iter().chain(&self.ca_file)
            }

            /// What its tools are made with, under this name and with this time for each request; reads
            /// the files of the token and of `ca_file`.
            ///
            /// # Errors
            /// All faults at once. None of them repeats a secret.
            pub(crate) fn resolve(
                &self,
                name: &str,
                timeout: Duration,
            ) -> Result<$config, Vec<AdminFault>> {
                let common = Common {
                    address: self.own_address(),
                    gateway_url: None,
                    credential: self.credential(),
                    tools: self.tools.as_deref(),
                    exclude_tools: &self.exclude_tools,
                    ca_file: self.ca_file.as_deref(),
                    proxy: self.proxy.as_ref(),
                    answer_size: self.answer_size,
                };
                let mut config = self.beginning();
                config.tools.clone_from(&self.tools);
                config.exclude_tools.clone_from(&self.exclude_tools);
                let mut faults = of_items(self.max_items);
                faults.extend(docs::faults(self.docs.as_deref(), self.tools.as_deref()));
                faults.extend(self.own_faults());
                let made = $backend(&config, docs::unread(self.docs.as_deref()));
                let held = common.settle(made, faults)?;
                self.fill(&mut config, held.credential);
                name.clone_into(&mut config.name);
                config.ca_pem = held.ca_pem;
                config.proxy.clone_from(&self.proxy);
                config.timeout_seconds = admin_api::whole_seconds(timeout);
                config.answer_bytes = common.answer_bytes();
                config.max_items = count(self.max_items);
                Ok(config)
            }
        }
    };
}

pub(super) use kong_section;
