//! Policies of other gateways: Gravitee's `mcp-acl`.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::{DefaultEffect, Method, NamePattern, PolicyConfig, RuleConfig, RuleEffect};
use crate::pattern::{Pattern, PatternFault, Subject};

mod el;
mod step;

use el::Asked;
use step::unwrap_step;

/// A policy that was read from another gateway's, and what had to be assumed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImportedPolicy {
    /// The policy. It allows what the other one allows, or less; never more.
    pub policy: PolicyConfig,
    /// What was assumed, changed or left out, in the order of the source.
    pub notes: Vec<ImportNote>,
}

/// One thing that the author of the other policy should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportNote {
    /// Where it is in the source, such as `authorizations[0].condition`.
    pub path: String,
    /// How much it matters.
    pub kind: ImportNoteKind,
    /// What it is, and what to do.
    pub message: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportNoteKind {
    /// The meaning is the same if an undocumented behaviour is what it seems.
    Assumed,
    /// It allows less than before: a part could not be read and allows nothing.
    Stricter,
    /// It had no effect before either.
    Ignored,
}

impl ImportNoteKind {
    /// How reports call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Stricter => "stricter",
            Self::Ignored => "ignored",
        }
    }
}

impl fmt::Display for ImportNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.kind.as_str(), self.message)
    }
}

/// Why a text is no `mcp-acl` configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is not JSON, or not of this shape.
    #[error("this is no mcp-acl configuration: {reason}")]
    Malformed {
        /// What is wrong and where.
        reason: String,
    },
}

/// Reads the configuration of Gravitee's policy `mcp-acl`, as JSON.
///
/// Accepted are the configuration itself (`{"authorizations": […]}`), a policy step that holds it
/// (`{"policy": "mcp-acl", "configuration": {…}}`), and the export of an API with one such step.
///
/// Each feature of each ACL becomes an `allow` rule; the default is to deny. A condition is
/// translated from Gravitee's expression language where that is possible; where it is not, its rules
/// allow nothing, and a note says so.
///
/// ```
/// let imported = mcp_gw_policy::import_mcp_acl(
///     r#"{"authorizations": [{"authorizedFeatures": [
///         {"type": "TOOLS", "methods": ["TOOLS_LIST", "TOOLS_CALL"],
///          "patternType": "EXPRESSION", "patternValue": "get_*"}]}]}"#,
/// )?;
/// assert_eq!(imported.policy.rules[0].id, "acl-1-feature-1");
/// # Ok::<(), mcp_gw_policy::ImportError>(())
/// ```
///
/// # Errors
/// When it is not such a configuration: not JSON, unknown keys, values out of place.
pub fn import_mcp_acl(json: &str) -> Result<ImportedPolicy, ImportError> {
    let malformed = |reason: String| ImportError::Malformed { reason };
    let value: Value = serde_json::from_str(json).map_err(|error| malformed(error.to_string()))?;
    let mut importer = Importer::default();
    let (value, path) = unwrap_step(value, &mut importer.notes).map_err(malformed)?;
    let acl: Acl = serde_path_to_error::deserialize(value).map_err(|error| {
        let at = error.path().to_string();
        malformed(format!("{path}{at}: {}", error.inner()))
    })?;
    importer.acl(&acl, &path);
    importer.completion(&path);
    Ok(ImportedPolicy {
        policy: PolicyConfig {
            default: DefaultEffect::Deny,
            rules: importer.rules,
            ..PolicyConfig::default()
        },
        notes: importer.notes,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acl {
    #[serde(default)]
    authorizations: Option<Vec<Authorization>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Authorization {
    authorized_features: Vec<Feature>,
    #[serde(default)]
    condition: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Feature {
    r#type: FeatureType,
    /// The schema makes them mandatory; its default is the list method of the type.
    #[serde(default)]
    methods: Option<Vec<String>>,
    #[serde(default)]
    pattern_type: PatternType,
    #[serde(default)]
    pattern_value: Option<String>,
    /// Members that only other versions know.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum FeatureType {
    Tools,
    Resources,
    Prompts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum PatternType {
    #[default]
    Any,
    Literal,
    Expression,
}

/// The methods of the policy, under their names there and on the wire.
const METHODS: [(&str, FeatureType, Method); 8] = [
    ("TOOLS_LIST", FeatureType::Tools, Method::ToolsList),
    ("TOOLS_CALL", FeatureType::Tools, Method::ToolsCall),
    (
        "RESOURCES_LIST",
        FeatureType::Resources,
        Method::ResourcesList,
    ),
    (
        "RESOURCES_READ",
        FeatureType::Resources,
        Method::ResourcesRead,
    ),
    (
        "RESOURCES_SUBSCRIBE",
        FeatureType::Resources,
        Method::ResourcesSubscribe,
    ),
    (
        "RESOURCES_TEMPLATES_LIST",
        FeatureType::Resources,
        Method::ResourcesTemplatesList,
    ),
    ("PROMPTS_LIST", FeatureType::Prompts, Method::PromptsList),
    ("PROMPTS_GET", FeatureType::Prompts, Method::PromptsGet),
];

/// A condition in CEL.
struct Condition {
    /// For requests that use something.
    call: String,
    /// For those that get a prompt.
    prompt: String,
    /// For lists.
    list: String,
}

#[derive(Default)]
struct Importer {
    rules: Vec<RuleConfig>,
    notes: Vec<ImportNote>,
}

impl Importer {
    fn note(&mut self, path: &str, kind: ImportNoteKind, message: impl Into<String>) {
        self.notes.push(ImportNote {
            path: path.to_owned(),
            kind,
            message: message.into(),
        });
    }

    fn acl(&mut self, acl: &Acl, prefix: &str) {
        let authorizations = acl.authorizations.as_deref().unwrap_or_default();
        if authorizations.is_empty() {
            let path = format!("{prefix}authorizations");
            let message = "no authorizations: everything is refused, there as here";
            self.note(&path, ImportNoteKind::Assumed, message);
        }
        for (at, authorization) in authorizations.iter().enumerate() {
            let path = format!("{prefix}authorizations[{at}]");
            let condition = self.condition(authorization.condition.as_deref(), &path);
            if authorization.authorized_features.is_empty() {
                let message = "it authorizes no feature, and so nothing";
                self.note(&path, ImportNoteKind::Ignored, message);
            }
            for (number, feature) in authorization.authorized_features.iter().enumerate() {
                let path = format!("{path}.authorizedFeatures[{number}]");
                let id = format!(
                    "acl-{}-feature-{}",
                    at.saturating_add(1),
                    number.saturating_add(1)
                );
                self.feature(feature, &id, condition.as_ref(), &path);
            }
        }
    }

    /// Completion has no method there and is never refused.
    fn completion(&mut self, prefix: &str) {
        let may = |rule: &RuleConfig| {
            let methods = rule.methods.as_deref().unwrap_or_default();
            rule.prompts.is_some() && !methods.contains(&Method::PromptsGet)
                || rule.resource_templates.is_some()
        };
        if self.rules.iter().any(may) {
            let path = format!("{prefix}authorizations");
            let message = "completion passes there; here it needs `prompts/get` of the prompt, or \
                           `resources/read` of the template";
            self.note(&path, ImportNoteKind::Assumed, message);
        }
    }

    /// The condition in CEL; `None` when there is none.
    fn condition(&mut self, condition: Option<&str>, path: &str) -> Option<Condition> {
        let text = condition.filter(|text| !text.is_empty())?;
        let path = format!("{path}.condition");
        if text.trim().is_empty() {
            let message = "a blank text is no condition that holds, as far as is known: its rules allow \
                           nothing; leave `condition` out if there is none";
            self.note(&path, ImportNoteKind::Stricter, message);
            return Some(Condition {
                call: "false".to_owned(),
                prompt: "false".to_owned(),
                list: "false".to_owned(),
            });
        }
        match el::translate(text, Asked::Use) {
            Ok(translated) => {
                for assumption in translated.assumptions {
                    self.note(&path, ImportNoteKind::Assumed, assumption);
                }
                let list = if translated.reads_params {
                    let message = "it looks at parameters that lists do not have: they are missing there, \
                                   as they were";
                    self.note(&path, ImportNoteKind::Assumed, message);
                    el::translate(text, Asked::List)
                        .map_or_else(|_| "false".to_owned(), |list| list.cel)
                } else {
                    translated.cel.clone()
                };
                let prompt = el::translate(text, Asked::Prompt)
                    .map_or_else(|_| "false".to_owned(), |prompt| prompt.cel);
                Some(Condition {
                    call: translated.cel,
                    prompt,
                    list,
                })
            }
            Err(reason) => {
                let message = format!(
                    "the condition cannot be translated, its rules allow nothing: {reason}; write it in CEL"
                );
                self.note(&path, ImportNoteKind::Stricter, message);
                Some(Condition {
                    call: "false".to_owned(),
                    prompt: "false".to_owned(),
                    list: "false".to_owned(),
                })
            }
        }
    }

    fn feature(&mut self, feature: &Feature, id: &str, condition: Option<&Condition>, path: &str) {
        for key in feature.others.keys() {
            let message = format!("the key `{key}` is not known");
            self.note(&format!("{path}.{key}"), ImportNoteKind::Assumed, message);
        }
        let methods = self.methods(feature, path);
        if methods.is_empty() {
            return;
        }
        let Some(patterns) = self.patterns(feature, path) else {
            return;
        };
        let subject = match feature.r#type {
            FeatureType::Resources => Subject::Uri,
            FeatureType::Tools | FeatureType::Prompts => Subject::Name,
        };
        for pattern in &patterns {
            if let Err(PatternFault(why, _)) = Pattern::compile(pattern, subject) {
                let message =
                    format!("the pattern cannot match anything here, it grants nothing: {why}");
                return self.note(
                    &format!("{path}.patternValue"),
                    ImportNoteKind::Stricter,
                    message,
                );
            }
        }
        self.granted(feature, id, condition, methods, &patterns);
    }

    /// Adds the rules of a feature.
    fn granted(
        &mut self,
        feature: &Feature,
        id: &str,
        condition: Option<&Condition>,
        methods: Vec<Method>,
        patterns: &[NamePattern],
    ) {
        // Templates are a feature of their own here, and a condition may mean another thing in lists:
        // then there is a rule for each.
        let use_of = |condition: &'_ Condition| match feature.r#type {
            FeatureType::Prompts => condition.prompt.clone(),
            FeatureType::Tools | FeatureType::Resources => condition.call.clone(),
        };
        let differs = condition.is_some_and(|condition| use_of(condition) != condition.list);
        let mut groups: Vec<(&str, Vec<Method>)> = Vec::new();
        for method in methods {
            let part = match method {
                Method::ResourcesTemplatesList => "-templates",
                Method::ToolsList | Method::ResourcesList | Method::PromptsList if differs => {
                    "-list"
                }
                _ => "",
            };
            match groups.iter_mut().find(|(other, _)| *other == part) {
                Some((_, group)) => group.push(method),
                None => groups.push((part, vec![method])),
            }
        }
        let is_single = groups.len() == 1;
        for (part, methods) in groups {
            let id = if is_single {
                id.to_owned()
            } else {
                format!("{id}{part}")
            };
            let mut rule = RuleConfig::new(id, RuleEffect::Allow).with_methods(methods);
            let patterns = Some(patterns.to_vec());
            match (feature.r#type, part) {
                (FeatureType::Tools, _) => rule.tools = patterns,
                (FeatureType::Prompts, _) => rule.prompts = patterns,
                (FeatureType::Resources, "-templates") => rule.resource_templates = patterns,
                (FeatureType::Resources, _) => rule.resources = patterns,
            }
            let is_list = rule.methods.iter().flatten().any(|method| {
                !matches!(
                    method,
                    Method::ToolsCall
                        | Method::ResourcesRead
                        | Method::ResourcesSubscribe
                        | Method::PromptsGet
                )
            });
            rule.when = condition.map(|condition| {
                if is_list {
                    condition.list.clone()
                } else {
                    use_of(condition)
                }
            });
            self.rules.push(rule);
        }
    }

    fn methods(&mut self, feature: &Feature, path: &str) -> Vec<Method> {
        let path = format!("{path}.methods");
        let of_type = |kind: FeatureType| METHODS.iter().filter(move |(_, of, _)| *of == kind);
        let Some(names) = &feature.methods else {
            let message =
                "no methods: taken as the list method of the type, the default of the schema";
            self.note(&path, ImportNoteKind::Assumed, message);
            return of_type(feature.r#type)
                .take(1)
                .map(|(.., method)| *method)
                .collect();
        };
        if names.is_empty() {
            self.note(
                &path,
                ImportNoteKind::Ignored,
                "no method is named, so nothing is granted",
            );
        }
        let mut methods = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let path = format!("{path}[{at}]");
            let known = METHODS
                .iter()
                .find(|(known, _, method)| *known == name || method.as_str() == name);
            match known {
                None => {
                    let message = format!("there is no method `{name}`; it grants nothing");
                    self.note(&path, ImportNoteKind::Stricter, message);
                }
                Some((known, of, _)) if *of != feature.r#type => {
                    let message = format!(
                        "`{known}` is no method of {:?}; it never matched and grants nothing",
                        feature.r#type
                    );
                    self.note(&path, ImportNoteKind::Ignored, message);
                }
                Some((known, _, method)) => {
                    if known != name {
                        let message = format!("`{name}` is taken as `{known}`");
                        self.note(&path, ImportNoteKind::Assumed, message);
                    }
                    if !methods.contains(method) {
                        methods.push(*method);
                    }
                }
            }
        }
        methods
    }

    fn patterns(&mut self, feature: &Feature, path: &str) -> Option<Vec<NamePattern>> {
        let path = format!("{path}.patternValue");
        let value = feature
            .pattern_value
            .as_deref()
            .filter(|value| !value.is_empty());
        if feature.pattern_type == PatternType::Any {
            if let Some(value) = value {
                let message = format!("`{value}` has no effect with the pattern type ANY");
                self.note(&path, ImportNoteKind::Ignored, message);
            }
            return Some(vec![NamePattern::Any]);
        }
        let Some(value) = value else {
            let message = "a pattern is needed and there is none; it grants nothing";
            self.note(&path, ImportNoteKind::Stricter, message);
            return None;
        };
        if value.contains("{#") || value.contains("{(") || value.contains("{T(") {
            let message =
                "the pattern holds an expression, which cannot be translated; it grants nothing";
            self.note(&path, ImportNoteKind::Stricter, message);
            return None;
        }
        if value.chars().any(char::is_control) {
            let message =
                "the pattern holds a control character, which no name does; it grants nothing";
            self.note(&path, ImportNoteKind::Stricter, message);
            return None;
        }
        if feature.pattern_type == PatternType::Literal {
            if value.contains(['*', '?']) {
                let message = "the pattern type is LITERAL: `*` and `?` stand for themselves";
                self.note(&path, ImportNoteKind::Assumed, message);
            }
            let spelling =
                step::other_spelling(value).filter(|_| feature.r#type == FeatureType::Resources);
            if let Some(spelling) = spelling {
                let message = format!(
                    "URIs are compared in one spelling: this is `{spelling}` here, in whatever case and encoding it comes"
                );
                self.note(&path, ImportNoteKind::Assumed, message);
            }
            return Some(vec![NamePattern::Literal(value.to_owned())]);
        }
        let message = "EXPRESSION is taken as a glob: `*` is any run of characters, `?` is one";
        self.note(&path, ImportNoteKind::Assumed, message);
        // A backslash escapes in our globs, and is not known to do so there.
        Some(vec![NamePattern::Glob(value.replace('\\', "\\\\"))])
    }
}

#[cfg(test)]
mod exact;
#[cfg(test)]
mod tests;
