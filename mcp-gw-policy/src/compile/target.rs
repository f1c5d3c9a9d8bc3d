//! What a rule is about: its methods, and the names in each feature.

use super::{
    Arc, Compiler, FaultPath, Method, NamePattern, Op, Ops, Pattern, PatternFault, RuleConfig,
    RuleEffect, Subject, nearest, shown,
};

/// A key of a rule with names: the key, the names, what they are compared with, and the operations.
type Named<'a> = (
    &'static str,
    &'a Option<Vec<NamePattern>>,
    Subject,
    &'static [Op],
);

/// Some operations with the patterns for their names, each with a text that tells it apart.
pub(super) type Targets = Vec<(Ops, Vec<(String, Arc<Pattern>)>)>;

fn features(config: &RuleConfig) -> [Named<'_>; 4] {
    const TOOLS: &[Op] = &[Op::ToolList, Op::ToolCall];
    const RESOURCES: &[Op] = &[
        Op::ResourceList,
        Op::ResourceRead,
        Op::ResourceSubscribe,
        Op::TemplateRead,
    ];
    const TEMPLATES: &[Op] = &[Op::TemplateList, Op::TemplateRead];
    const PROMPTS: &[Op] = &[Op::PromptList, Op::PromptGet];
    [
        ("tools", &config.tools, Subject::Name, TOOLS),
        ("resources", &config.resources, Subject::Uri, RESOURCES),
        (
            "resource_templates",
            &config.resource_templates,
            Subject::Uri,
            TEMPLATES,
        ),
        ("prompts", &config.prompts, Subject::Name, PROMPTS),
    ]
}

impl<'a> Compiler<'a> {
    /// The operations and names that a rule is about.
    pub(super) fn targets(&mut self, config: &'a RuleConfig, path: &FaultPath) -> Targets {
        let methods = config.methods.as_deref();
        if methods == Some(&[]) {
            let message = "an empty list of methods matches nothing";
            self.fault(
                config,
                path.key("methods"),
                message,
                "name some, or remove the key for all",
            );
            return Vec::new();
        }
        let covered =
            |op: Op| methods.is_none_or(|methods| methods.iter().any(|method| op.is_of(*method)));
        let named: Vec<Named<'a>> = features(config)
            .into_iter()
            .filter(|(_, patterns, ..)| patterns.is_some())
            .collect();
        self.check_methods(config, &named, path);
        let mut targets = Vec::new();
        if named.is_empty() {
            let ops = ops(Op::ALL.into_iter().filter(|op| covered(*op)));
            targets.push((ops, vec![(String::new(), self.any())]));
        }
        for (key, patterns, subject, all) in named {
            let subject = match (subject, config.effect) {
                (Subject::Uri, RuleEffect::Allow) => Subject::UriToAllow,
                (subject, _) => subject,
            };
            let path = path.key(key);
            let ops = ops(all.iter().copied().filter(|op| covered(*op)));
            if ops.is_empty() {
                let mut methods: Vec<&str> = Vec::new();
                for op in all {
                    if !methods.contains(&op.method().as_str()) {
                        methods.push(op.method().as_str());
                    }
                }
                let message = format!("none of the methods of this rule is about `{key}`");
                let help = format!("`{key}` goes with {}", methods.join(", "));
                self.fault(config, path.clone(), message, &help);
            }
            let patterns = patterns.as_deref().unwrap_or_default();
            targets.push((ops, self.patterns(config, patterns, subject, &path)));
        }
        targets
    }

    /// Each method must be about something that the rule names (P-17).
    fn check_methods(&mut self, config: &RuleConfig, named: &[Named<'_>], path: &FaultPath) {
        let methods = config.methods.as_deref().unwrap_or_default();
        if named.is_empty() {
            return;
        }
        for (at, method) in methods.iter().enumerate() {
            if named
                .iter()
                .any(|(.., all)| all.iter().any(|op| op.is_of(*method)))
            {
                continue;
            }
            let keys: Vec<&str> = named.iter().map(|(key, ..)| *key).collect();
            let message = format!(
                "`{}` is a method of another feature than `{}`",
                method.as_str(),
                keys.join("`, `")
            );
            let known = named
                .iter()
                .flat_map(|(.., all)| all.iter().map(|op| op.method().as_str()));
            let known: Vec<&str> = known.collect();
            let help = match key_of(*method) {
                _ if *method == Method::ResourcesTemplatesList => {
                    "name the templates in `resource_templates`".to_owned()
                }
                Some(key) => match nearest(method.as_str(), known) {
                    Some(near) => format!("did you mean `{near}`? Or name something in `{key}`"),
                    None => format!("name something in `{key}`, or remove the method"),
                },
                None => "remove the method".to_owned(),
            };
            self.fault(config, path.key("methods").index(at), message, &help);
        }
    }

    /// Compiles a list of patterns.
    pub(super) fn patterns(
        &mut self,
        config: &RuleConfig,
        patterns: &'a [NamePattern],
        subject: Subject,
        path: &FaultPath,
    ) -> Vec<(String, Arc<Pattern>)> {
        if patterns.is_empty() {
            let message = "an empty list matches nothing";
            self.fault(
                config,
                path.clone(),
                message,
                "write `[any]` for all, or remove the key",
            );
        }
        let mut compiled = Vec::with_capacity(patterns.len());
        for (at, pattern) in patterns.iter().enumerate() {
            if let Some(known) = self.patterns.get(&(subject, pattern)) {
                compiled.push((format!("{subject:?} {pattern:?}"), Arc::clone(known)));
                continue;
            }
            match Pattern::compile(pattern, subject) {
                Ok(found) => {
                    let found = Arc::new(found);
                    self.patterns.insert((subject, pattern), Arc::clone(&found));
                    compiled.push((format!("{subject:?} {pattern:?}"), found));
                }
                Err(PatternFault(message, help)) => {
                    let message = format!("{}: {message}", shown(&pattern.to_string()));
                    self.fault(config, path.index(at), message, &help);
                }
            }
        }
        compiled
    }

    fn any(&mut self) -> Arc<Pattern> {
        let entry = self.patterns.entry((Subject::Name, &NamePattern::Any));
        Arc::clone(entry.or_insert_with(|| Arc::new(Pattern::Any)))
    }
}

fn ops(all: impl Iterator<Item = Op>) -> Ops {
    let mut ops = Ops::default();
    all.for_each(|op| ops.insert(op));
    ops
}

/// The key whose names a method is about.
const fn key_of(method: Method) -> Option<&'static str> {
    match method {
        Method::ToolsList | Method::ToolsCall => Some("tools"),
        Method::ResourcesList | Method::ResourcesRead | Method::ResourcesSubscribe => {
            Some("resources")
        }
        Method::ResourcesTemplatesList => Some("resource_templates"),
        Method::PromptsList | Method::PromptsGet => Some("prompts"),
        Method::List | Method::Call => None,
    }
}
