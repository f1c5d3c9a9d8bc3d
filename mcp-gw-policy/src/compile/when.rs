//! The conditions of rules.

use mcp_gw_core::Feature;

use super::{
    Arc, Compiler, Condition, FaultPath, MatchOn, Pattern, PolicyFault, Rule, RuleConfig, nearest,
    shown,
};

impl<'a> Compiler<'a> {
    /// The condition of a rule; equal ones are compiled once.
    pub(super) fn when(
        &mut self,
        config: &RuleConfig,
        when: &'a str,
        path: &FaultPath,
    ) -> Option<Arc<Condition>> {
        let condition = match self.whens.get(when) {
            Some(known) => Arc::clone(known),
            None => match self.conditions.compile(when) {
                Ok(compiled) => {
                    let compiled = Arc::new(compiled);
                    self.whens.insert(when, Arc::clone(&compiled));
                    compiled
                }
                Err(fault) => {
                    self.fault(config, path.key("when"), fault.to_string(), "");
                    return None;
                }
            },
        };
        let fault =
            |message: String| PolicyFault::new(path.key("when"), message).with_rule(&config.id);
        if let Some(why) = condition.warning() {
            let fault = fault(format!("the condition can never be true: {why}"));
            let help = "mend the condition, or remove the rule";
            self.warnings.push(fault.with_help(help));
        } else if let Some(why) = condition.idle_part() {
            let fault = fault(format!("a part of the condition can never be true: {why}"));
            self.warnings
                .push(fault.with_help("mend that part, or remove it"));
        }
        let roles = || self.config.roles.keys().map(String::as_str);
        for role in condition.named_roles() {
            // Roles may come with the credential, so only what looks like a slip is told.
            let near = nearest(role, roles()).filter(|near| near != role);
            if let Some(near) = near.filter(|_| !self.config.roles.contains_key(role)) {
                let fault = fault(format!("{NO_ROLE} {} in `roles`", shown(role)));
                self.warnings
                    .push(fault.with_help(format!("did you mean `{near}`?")));
            }
        }
        if condition.reads_tls() {
            let message = "the condition reads `tls`, of which nothing is known here: TLS ends \
                           before the gateway";
            let help = "ask for a header that the proxy in front sets, such as \
                        `request.headers['x-client-subject']`, where no client can send one of its own";
            self.needs_tls
                .push(fault(message.to_owned()).with_help(help));
        }
        Some(condition)
    }

    /// Warns of a condition that asks for a name which its own rule is not about.
    pub(super) fn warn_of_names(&mut self, rule: &Rule, path: &FaultPath) {
        let Some(when) = rule
            .when
            .as_deref()
            .filter(|_| rule.match_on == MatchOn::Name)
        else {
            return;
        };
        let facts = [
            ("mcp.tool.name", Feature::Tool),
            ("mcp.prompt.name", Feature::Prompt),
        ];
        for (fact, feature) in facts {
            let wanted = when.wanted(fact);
            let targets = rule.targets.iter();
            let targets = targets.filter(|target| {
                let mut ops = target.ops.iter();
                ops.any(|op| op.feature() == feature)
            });
            let patterns: Vec<_> = targets.flat_map(|target| &target.patterns).collect();
            if patterns.is_empty() {
                continue;
            }
            let is_left_out = |pattern: &Arc<Pattern>| {
                let name = pattern.as_literal();
                name.is_some_and(|name| when.rules_out(fact, name))
            };
            if patterns.iter().all(|pattern| is_left_out(pattern)) {
                let message = format!(
                    "the condition can never be true: no name that the rule is about has the form that it asks of `{fact}`"
                );
                let fault = PolicyFault::new(path.key("when"), message).with_rule(&rule.id);
                let help = "mend the condition, or remove the rule";
                self.warnings.push(fault.with_help(help));
                continue;
            }
            let is_about = |name: &&str| patterns.iter().any(|pattern| pattern.matches(name));
            let wanted = wanted.unwrap_or_default();
            if let Some(first) = wanted.first().filter(|_| !wanted.iter().any(is_about)) {
                let message = format!(
                    "the condition can never be true: `{fact}` is never {} here, the rule is about other names",
                    shown(first)
                );
                let fault = PolicyFault::new(path.key("when"), message).with_rule(&rule.id);
                let help = "mend the condition, or remove the rule";
                self.warnings.push(fault.with_help(help));
            }
        }
    }
}

/// What the warning of a role that there is not begins with.
pub(crate) const NO_ROLE: &str = "there is no role";
