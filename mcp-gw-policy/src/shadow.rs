//! What rules in shadow would have done, for people.

use std::sync::Arc;

use mcp_gw_core::{AccessRequest, Effect};

use crate::engine::{MOST_NAMED, TARGET};

/// What rules in shadow would have done to one request or list: a line for it, not for each item.
#[derive(Debug, Default)]
pub(crate) struct ShadowLog {
    told: Vec<Would>,
}

/// It, for the items for which it comes out one way.
#[derive(Debug)]
struct Would {
    request_id: String,
    caller: String,
    method: String,
    effect: Effect,
    items: usize,
    names: Vec<String>,
    reasons: Vec<Arc<str>>,
}

impl ShadowLog {
    pub(crate) fn take(
        &mut self,
        request: &AccessRequest<'_>,
        effect: Effect,
        reasons: &[Arc<str>],
    ) {
        let is_same = |would: &Would| {
            would.effect == effect
                && would.method == request.method
                && would.request_id == *request.meta.request_id
                && would.caller == *request.caller.id
        };
        // One list comes after the other.
        let at = self.told.iter().rposition(is_same).unwrap_or_else(|| {
            self.told.push(Would {
                request_id: String::from(&*request.meta.request_id),
                caller: String::from(&*request.caller.id),
                method: request.method.to_owned(),
                effect,
                items: 0,
                names: Vec::new(),
                reasons: Vec::new(),
            });
            self.told.len().saturating_sub(1)
        });
        let Some(would) = self.told.get_mut(at) else {
            return;
        };
        would.items = would.items.saturating_add(1);
        if would.names.len() < MOST_NAMED {
            would
                .names
                .push(request.name.chars().take(LOGGED).collect());
        }
        for reason in reasons {
            if would.reasons.len() < MOST_NAMED && !would.reasons.contains(reason) {
                would.reasons.push(Arc::clone(reason));
            }
        }
    }

    /// Writes it.
    pub(crate) fn tell(self) {
        for would in self.told {
            let Would {
                request_id,
                caller,
                method,
                items,
                names,
                reasons,
                ..
            } = would;
            let (request_id, caller) = (request_id.as_str(), caller.as_str());
            let method = method.as_str();
            let what = match would.effect {
                Effect::Allow => "would allow",
                Effect::Deny => "would deny",
            };
            match names.as_slice() {
                [name] if items == 1 => {
                    let name = name.as_str();
                    tracing::info!(target: TARGET, request_id, caller, method, name, ?reasons, "{what}");
                }
                _ => {
                    tracing::info!(target: TARGET, request_id, caller, method, items, ?names, ?reasons, "{what}");
                }
            }
        }
    }
}

/// So many characters of a name are logged.
const LOGGED: usize = 256;

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::access_request;
    use mcp_gw_core::{Caller, CallerKind, RequestMeta, Transport};

    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_way_it_comes_out() {
        let caller = Caller::new(CallerKind::ApiKey, "bob");
        let metas = ["1", "2"].map(|id| RequestMeta::new(id, Transport::Http));
        let mut log = ShadowLog::default();
        for meta in &metas {
            for at in 0..1000 {
                let name = format!("tool_{at}");
                let request = access_request(&caller, meta, &name);
                let (effect, rule) = if at % 2 == 0 {
                    (Effect::Deny, "deny")
                } else {
                    (Effect::Allow, "allow")
                };
                log.take(&request, effect, &[Arc::from(rule)]);
            }
        }
        assert_eq!(log.told.len(), 4);
        for would in &log.told {
            assert_eq!((would.items, would.names.len()), (500, MOST_NAMED));
            assert_eq!(would.reasons.len(), 1);
        }
        assert_eq!(log.told[0].request_id, "1");
    }
}
