//! Whether a server drops keys when its memory is full: then a flood of new ones resets limits.

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};

/// The policy of a server that drops keys; `None` when it keeps them, or does not say.
pub(super) async fn policy_of(connection: &mut MultiplexedConnection) -> Option<String> {
    let mut info = cmd("INFO");
    info.arg("memory");
    if let Ok(text) = info.query_async::<String>(connection).await {
        return of_info(&text);
    }
    let mut get = cmd("CONFIG");
    get.arg("GET").arg("maxmemory-policy");
    let answer = get.query_async::<Value>(connection).await.ok()?;
    let words: Vec<String> = redis::from_owned_redis_value(answer).ok()?;
    let [_, policy] = words.as_slice() else {
        return None;
    };
    drops(policy).then(|| policy.clone())
}

/// What `INFO memory` says. Without a bound on memory nothing is dropped.
fn of_info(text: &str) -> Option<String> {
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    if field("maxmemory") == Some("0") {
        return None;
    }
    let policy = field("maxmemory_policy")?;
    drops(policy).then(|| policy.to_owned())
}

/// All keys of limits expire, so that it makes no difference which of them a policy takes.
fn drops(policy: &str) -> bool {
    policy != "noeviction"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_drops_keys_is_known_by_what_it_says() {
        let info = |most: &str, policy: &str| {
            of_info(&format!(
                "# Memory\r\nused_memory:1\r\nmaxmemory:{most}\r\nmaxmemory_human:0B\r\n\
                 maxmemory_policy:{policy}\r\n"
            ))
        };
        assert_eq!(
            info("3145728", "allkeys-lru").as_deref(),
            Some("allkeys-lru")
        );
        assert_eq!(info("1", "volatile-ttl").as_deref(), Some("volatile-ttl"));
        assert_eq!(info("1", "noeviction"), None);
        assert_eq!(info("0", "allkeys-lru"), None, "there is no bound");
        assert_eq!(of_info("nonsense"), None);
    }
}
