//! The conditions of rules.

use super::{Arc, Compiler, Condition, FaultPath, PolicyFault, RuleConfig};

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
}
