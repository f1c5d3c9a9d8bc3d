//! The variables of the language, and what they are here.
//!
//! What may be missing there is `null`; to index it or to ask it something is an error, and the rule
//! does not apply. Where it is not known whether the other gateway has a value, it is an error, too.

use super::expr::{Expr, Kind, only_if};
use super::{Asked, Parser};

/// Headers that conditions do not see: credentials.
const HIDDEN_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
];

/// A caller with a token. Without one there are no claims at all.
const HAS_CLAIMS: &str = "size(jwt) > 0";
const HAS_METADATA: &str = "size(consumer.metadata) > 0";
const HAS_ROLES: &str = "size(identity.roles) > 0";
const IS_KNOWN: &str = "identity.authenticated";
/// An error for the holder of an API key.
const HAS_USER: &str = "{true: identity.authenticated}[identity.kind != 'api_key']";

impl Parser<'_> {
    pub(super) fn variable(&mut self, name: &str) -> Result<Expr, String> {
        let keys = self.keys()?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let expr = match name {
            "context" => match keys.as_slice() {
                ["attributes", rest @ ..] => self.attribute(rest),
                _ => None,
            },
            "request" => self.request(&keys),
            "subscription" => self.subscription(&keys),
            _ => None,
        };
        expr.ok_or_else(|| format!("`#{name}.{}` has no counterpart", keys.join(".")))
    }

    fn attribute(&mut self, keys: &[&str]) -> Option<Expr> {
        Some(match keys {
            ["jwt.claims"] => Expr {
                has: Some(HAS_CLAIMS.to_owned()),
                ..Expr::new("jwt", Kind::Holder)
            },
            ["jwt.claims", path @ ..] => {
                self.within(HAS_CLAIMS, path_of("jwt", path, Kind::Unknown)?)
            }
            ["user"] => {
                self.assume(
                    "what the `user` of a caller with an API key is, is not known here: what asks for it does \
                     not apply to them",
                );
                Expr::maybe("identity.sub", HAS_USER, Kind::Text)
            }
            ["user-id"] => {
                self.assume(
                    "what the `user-id` of a caller without a credential is, is not known here: \
                     what asks for it does not apply to them",
                );
                self.only_if("identity.sub", IS_KNOWN, Kind::Text)
            }
            ["user.roles"] => {
                self.assume(
                    "whether a caller without roles has an empty list of `user.roles` or none is not \
                     known here: what asks for it does not apply to them",
                );
                self.only_if("identity.roles", HAS_ROLES, Kind::List)
            }
            ["application" | "clientIdentifier"] => self.consumer(),
            ["plan"] => {
                self.assume(
                    "which `plan` a caller without one has there is not known here: what asks for it \
                     does not apply to them",
                );
                Expr::risky("consumer.plan", Kind::Text)
            }
            ["mcp_tool_name"] => {
                self.reads_params = true;
                if self.asked == Asked::List {
                    Expr::new("null", Kind::Missing)
                } else {
                    Expr {
                        has: Some("has(mcp.tool.name)".to_owned()),
                        ..Expr::new("mcp.tool.name", Kind::Text)
                    }
                }
            }
            _ => return None,
        })
    }

    fn subscription(&mut self, keys: &[&str]) -> Option<Expr> {
        match keys {
            ["metadata", key] => {
                let member = path_of("consumer.metadata", &[key], Kind::Text)?;
                self.assume(
                    "a caller without `metadata` is taken as one without a subscription, which has an \
                     error there: what asks for it does not apply",
                );
                Some(self.within(HAS_METADATA, member))
            }
            ["id" | "clientId"] => Some(self.consumer()),
            _ => None,
        }
    }

    fn consumer(&mut self) -> Expr {
        self.assume(
            "the application is taken as `consumer.id`: compare the ids that this gateway knows; what asks \
             for it does not apply to callers without a credential",
        );
        self.only_if("consumer.id", IS_KNOWN, Kind::Text)
    }

    fn request(&mut self, keys: &[&str]) -> Option<Expr> {
        Some(match keys {
            // Of each there is one with every request there.
            ["remoteAddress"] => Expr::risky("source.ip", Kind::Text),
            [name @ ("method" | "path" | "host" | "scheme")] => {
                Expr::risky(format!("request.{name}"), Kind::Text)
            }
            ["id"] => Expr::new("request.id", Kind::Text),
            // The first value; Gravitee's own index says so. Without the header it indexes nothing.
            ["headers", name, "0"] => Expr {
                has: None,
                is_safe: false,
                ..self.header("request.headers", name, Kind::Text)?
            },
            ["headers", name] => self.header("request.headers_all", name, Kind::List)?,
            ["params", name, "0"] => {
                let member = path_of("request.query", &[name], Kind::Text)?;
                Expr::risky(member.cel, Kind::Text)
            }
            // A list of all values there, of which the first is known here.
            ["params", name] => path_of("request.query", &[name], Kind::Holder)?,
            ["jsonContent", "params", "name"] => {
                let name = "(has(mcp.tool) ? mcp.tool.name : mcp.prompt.name)";
                self.param(Expr::risky(name, Kind::Text))
            }
            ["jsonContent", "params", "uri"] => {
                self.param(Expr::risky("mcp.resource.uri", Kind::Text))
            }
            ["jsonContent", "method"] => Expr::new("mcp.method", Kind::Text),
            ["jsonContent", "params", "arguments", rest @ ..] if !rest.is_empty() => {
                let (base, test) = match self.asked {
                    Asked::Prompt => ("mcp.prompt.arguments", "size(mcp.prompt.arguments) > 0"),
                    _ => ("mcp.tool.arguments", "size(mcp.tool.arguments) > 0"),
                };
                let member = path_of(base, rest, Kind::Unknown)?;
                if self.asked != Asked::List {
                    self.assume(
                        "a call whose `arguments` are empty is taken as one without any, which has an \
                         error there: what asks for them does not apply",
                    );
                    self.reads_params = true;
                    return Some(self.within(test, member));
                }
                self.param(member)
            }
            // Of TLS (`ssl`) nothing is known: it ends before the gateway.
            _ => return None,
        })
    }

    /// A parameter of the request. A list need not have any, and to index nothing is an error.
    fn param(&mut self, expr: Expr) -> Expr {
        self.reads_params = true;
        if self.asked != Asked::List {
            return expr;
        }
        if self.branches == 0 {
            self.is_never = true;
        }
        Expr::risky(only_if("true", "mcp.method == ''"), Kind::Unknown)
    }

    /// True when `test` holds wherever the value in question is used: where it is used in any case, the
    /// whole condition asks for it first.
    pub(super) fn is_given(&mut self, test: &str) -> bool {
        let is_given = self.given.iter().any(|given| given == test);
        if !is_given && self.branches == 0 {
            self.given.push(test.to_owned());
        }
        is_given || self.branches == 0
    }

    /// A member of what is only there if `test` holds. Otherwise it is an error to look into it.
    fn within(&mut self, test: &str, member: Expr) -> Expr {
        if self.is_given(test) {
            return member;
        }
        Expr {
            has: member.has.as_deref().map(|has| only_if(has, test)),
            is_safe: false,
            ..member
        }
    }

    /// A value that nothing is known of unless `test` holds.
    fn only_if(&mut self, cel: &str, test: &str, kind: Kind) -> Expr {
        if self.is_given(test) {
            Expr::new(cel, kind)
        } else {
            Expr::risky(only_if(cel, test), kind)
        }
    }

    fn header(&mut self, map: &str, name: &str, kind: Kind) -> Option<Expr> {
        let name = name.to_ascii_lowercase();
        if HIDDEN_HEADERS.contains(&name.as_str()) {
            return None;
        }
        self.assume("names of headers are compared in lower case");
        Some(Expr::member(map, &[&name], kind))
    }
}

/// A member at a path, none of which is an index of a list.
fn path_of(base: &str, path: &[&str], kind: Kind) -> Option<Expr> {
    let is_index = |key: &&str| key.parse::<u64>().is_ok();
    (!path.iter().any(is_index)).then(|| Expr::member(base, path, kind))
}
