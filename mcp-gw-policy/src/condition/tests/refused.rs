//! What is refused when a policy is loaded, and what is warned of.

use super::{compile, compiler};

#[track_caller]
fn refused(source: &str, expected: &str) {
    let fault = match compiler().compile(source) {
        Ok(_) => panic!("taken: {source}"),
        Err(fault) => fault.to_string(),
    };
    assert!(
        fault.contains(expected),
        "{source}\n  says {fault}\n  wants {expected}"
    );
    assert!(!fault.contains('\n'), "{fault}");
    // What the parser calls its parts.
    for word in ["Context", "recovery"] {
        assert!(!fault.contains(word), "{fault}");
    }
}

#[test]
fn names_are_checked_with_a_suggestion() {
    refused(
        "identiy.id == 'x'",
        "at 1:1: `identiy` is not a name here; did you mean `identity`?",
    );
    refused("true &&\n  idendity.id == 'x'", "at 2:3: `idendity`");
    refused(
        "identity.rols == []",
        "`identity` has no member `rols`; did you mean `roles`?",
    );
    refused("identity['rols'] == []", "`identity` has no member `rols`");
    refused(
        "mcp.tool.argumnts.x == 1",
        "`mcp.tool` has no member `argumnts`; did you mean `arguments`?",
    );
    refused(
        "mcp.tol.name == 'x'",
        "`mcp` has no member `tol`; did you mean `tool`?",
    );
    refused(
        "mcp.tool.annotations.readonlyHint",
        "did you mean `readOnlyHint`?",
    );
    refused(
        "identity.id.x == 1",
        "`identity.id` is a string, it has no member `x`",
    );
    refused(
        "vars.taem == 'x'",
        "`vars` has no member `taem`; did you mean `team`?",
    );
    refused(
        "vars.limits.amont < 1",
        "`vars.limits` has no member `amont`; did you mean `amount`?",
    );
    refused(
        "mcp.tool == 1",
        "name a member of `mcp.tool`: it has annotations, arguments, name",
    );
    refused("identity == 1", "name a member of `identity`");
    refused("[1].all(x, y == 1)", "`y` is not a name here");
    refused("@result == 1", "this is not CEL");
    refused(".identity.id == 'x'", "is not a name here");
    refused(
        "request.headers['X-Tenant'] == 'x'",
        "in lower case here: `x-tenant`",
    );
    refused(
        "request.headers['authorization'] == 'x'",
        "carries a secret",
    );
    refused("request.headers.cookie == 'x'", "carries a secret");
}

#[test]
fn functions_are_checked_with_a_suggestion() {
    refused(
        "identity.id.startWith('x')",
        "no function `startWith`; did you mean `startsWith`?",
    );
    refused(
        "identity.id.replace('a', 'b') == ''",
        "no function `replace`",
    );
    refused("['a'].join() == 'a'", "no function `join`");
    refused("strings.quote('a') == 'a'", "`strings` is not a name here");
    refused(
        "identity.id.startsWith('x', 'y')",
        "cannot be called on a string with (a string, a string)",
    );
    refused(
        "identity.roles.startsWith('x')",
        "cannot be called on a list of strings",
    );
    refused("identity.id.glob(jwt.x)", "`glob` takes one string literal");
    refused(
        "identity.id.matches(jwt.pattern)",
        "`matches` takes one string literal",
    );
    refused(
        "identity.id.matches('a', 'b')",
        "`matches` takes one string literal",
    );
    refused(
        "identity.id.matches('(')",
        "`(` is not a pattern: unclosed group",
    );
    refused(
        r"identity.id.matches('(\\w{1,1000}){1,1000}')",
        "is not a pattern",
    );
    refused("identity.id.glob('a\\\\')", "cannot end with a backslash");
    refused(
        "source.ip_in('10.0.0.0/33')",
        "is not an address or a CIDR block",
    );
    refused("source.ip_in('10.1.0.0/8')", "write `10.0.0.0/8`");
    refused("source.ip_in()", "takes CIDR blocks");
    refused("consumer.has_role('x')", "is called as identity.has_role");
    refused("Foo{a: 1} == 1", "no message types");
    refused("optional.of(1) == 1", "is not a name here");
}

#[test]
fn what_is_no_truth_and_what_cannot_be_compared_is_refused() {
    refused("5", "the condition gives a number, not true or false");
    refused("identity.id", "the condition gives a string");
    refused("identity.id + 'x'", "the condition gives a string");
    refused("vars.team", "the condition gives a string");
    refused(
        "identity.roles == 'admin'",
        "a list of strings is compared with a string",
    );
    refused("identity.id == 5", "a string is compared with a number");
    refused("identity.id < 5", "a string is compared with a number");
    refused("'a' in identity.id", "text.contains(part)");
    refused(
        "5 in identity.roles",
        "a number is never in a list of strings",
    );
    refused(
        "identity.id && true",
        "`&&` needs true or false, this is a string",
    );
    refused("!identity.id", "`!` needs true or false");
    refused("identity.id ? true : false", "needs true or false");
    refused(
        "identity.id - 1 == 1",
        "`-` does not apply to a string and a number",
    );
    refused(
        "identity.id.exists(x, true)",
        "a loop needs a list or a map, this is a string",
    );
}

#[test]
fn sources_have_limits() {
    refused("", "the condition is empty");
    refused("  ", "the condition is empty");
    refused(
        &format!("'{}' == ''", "x".repeat(4096)),
        "more than the 4096 allowed",
    );
    refused(&vec!["1==1"; 600].join("&&"), "more than 1000 parts");
    refused(
        "[1].all(a, [1].all(b, [1].all(c, true)))",
        "nested deeper than 2",
    );
    refused(
        "[1].all(identity, true)",
        "`identity` has a meaning already",
    );
    refused("[1].all(int, true)", "`int` has a meaning already");
    refused(
        &format!("{}true{}", "(".repeat(500), ")".repeat(500)),
        "this is not CEL",
    );
    for (open, close) in [("(", ")"), ("[", "]"), ("{1: ", "}"), ("(", "")] {
        let deep = format!("{}1{}", open.repeat(100), close.repeat(100));
        refused(&deep, "this is not CEL: something is missing here");
    }
    refused("1 ==", "this is not CEL");
    refused("'\u{0}' ==", "this is not CEL");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    refused("identiy.id == 'x' && jwt.a.glob(jwt.b)", "`identiy`");
    refused("identiy.id == 'x' && jwt.a.glob(jwt.b)", "`glob` takes");
}

#[test]
fn a_condition_that_can_never_be_true_is_warned_of() {
    for source in [
        "false",
        "1 > 2",
        "identity.authenticated && false",
        "identity.id == 'a' && identity.id == 'b'",
        "identity.id == 'a' && identity.id != 'a'",
        "identity.id in ['a', 'b'] && identity.id == 'c'",
        "identity.id in []",
        "jwt.level > 5 && jwt.level < 3",
        "jwt.level >= 5 && jwt.level < 5",
        "5 < jwt.level && jwt.level <= 5",
        "jwt.level == 7 && jwt.level < 5",
        "has(jwt.a) && !has(jwt.a)",
        "identity.authenticated && !identity.authenticated",
        "(identity.id == 'a' && identity.id == 'b') || (1 > 2 && false)",
        "timestamp('nonsense') < request.time",
        "int('x') == 1",
        "vars.limits.amount > 1000",
        "request.transport == 'htpp'",
        "request.scheme == 'HTTPS'",
        "request.method == 'post'",
        "identity.kind in ['robot', 'human']",
        "size(identity.groups) < 0",
        "identity.groups.size() == -1",
        "size(jwt.dept) < 0",
        "size(mcp.tool.arguments.s) > 70000",
        "mcp.tool.arguments.s.size() == 65537",
    ] {
        assert!(compile(source).warning().is_some(), "{source}");
    }
}

#[test]
fn a_condition_that_can_be_true_is_not_warned_of() {
    for source in [
        "true",
        "identity.id == 'a' || identity.id == 'b'",
        "identity.id == 'a' && jwt.id == 'b'",
        "jwt.level >= 5 && jwt.level <= 5",
        "jwt.level > 3 && jwt.level < 5 && jwt.level != 6",
        "jwt.dept == 'x'",
        "identity.id in ['a', 'b'] && identity.id in ['b', 'c']",
        "mcp.tool.arguments.amount < 100",
        "tls.sni == 'a.example'",
        "mcp.prompt.name == 'x'",
        "jwt.level == 5 && jwt.level == 5.0",
        "vars.limits.amount == 100",
        "source.ip_in('10.0.0.0/8')",
        "request.headers['x-a'] == 'b'",
        "request.transport == 'http' && request.scheme in ['https', 'http']",
        "request.method == 'POST'",
        "size(identity.groups) <= 0",
        "size(mcp.tool.arguments.s) >= 65536",
        "size(jwt.list) > 70000",
        "identity.kind in ['api_key', 'robot']",
    ] {
        assert_eq!(compile(source).warning(), None, "{source}");
    }
}

#[test]
fn what_is_no_cel_is_told_in_words() {
    for (source, says) in [
        ("jwt.a ==", "at 1:9: this is not CEL: unexpected the end"),
        ("'abc", "`abc` has no place here, or a quote is missing"),
        ("(jwt.a", "missing ')' at the end"),
        ("jwt.a)", "unexpected ')'"),
        ("jwt.a ? 1", "something is missing here"),
        (
            r"'\ud800' == jwt.a",
            "a string holds an escape that is none",
        ),
        ("jwt..a", "something is missing here, or has no place"),
    ] {
        let fault = compiler().compile(source).unwrap_err().to_string();
        assert!(fault.contains(says), "{source}: {fault}");
        for odd in ["Error", "expecting", "{", "EOF", "Incomplete"] {
            assert!(!fault.contains(odd), "{source}: {fault}");
        }
    }
}

#[test]
fn a_part_that_says_nothing_is_found_wherever_it_is() {
    for (source, expected) in [
        ("identity.kind in ['api_key', 'robot']", "never 'robot'"),
        (
            "identity.kind == 'apikey' || jwt.a == 'x'",
            "did you mean 'api_key'",
        ),
        ("!(request.scheme == 'HTTPS')", "did you mean 'https'"),
        ("request.method == 'post' || jwt.a", "did you mean 'POST'"),
        (
            "jwt.a.exists(a, a == 'x' && mcp.method == 'tools/cal')",
            "did you mean 'tools/call'",
        ),
        ("jwt.a == 'x' || size(jwt.b) < 0", "never below 0"),
        (
            "mcp.resource.uri == 'HTTPS://Q.com/%7A'",
            "one spelling: 'https://q.com/z'",
        ),
        (
            "mcp.resource.uri in ['https://q.com/z', 'https://Q.com/{+rest}']",
            "never 'https://Q.com/{+rest}'",
        ),
    ] {
        let why = compile(source).idle_part().unwrap_or_default();
        assert!(why.contains(expected), "{source}: {why}");
    }
    for source in [
        "identity.kind in ['api_key', 'oauth_client'] || jwt.a == 'robot'",
        "request.method != 'post'",
        "mcp.resource.uri == 'https://q.com/z' || mcp.resource.uri == 'file:///a b'",
        "mcp.resource.uri in ['file:///a%20b', 'file:///a', 'URN'] || jwt.a == 'HTTPS://Q.com/z'",
        "mcp.tool.arguments.kind == 'robot'",
    ] {
        assert_eq!(compile(source).idle_part(), None, "{source}");
    }
}

#[test]
fn numbers_that_lose_digits_are_refused() {
    for source in [
        "mcp.tool.arguments.a <= 9007199254740992.0",
        "mcp.tool.arguments.a == 9007199254740993.0",
        "mcp.tool.arguments.a > -1e300",
        "mcp.tool.arguments.a <= 1e16",
    ] {
        refused(source, "not exact from 2^53");
    }
    for source in [
        "mcp.tool.arguments.a <= 100.00000000000000001",
        "mcp.tool.arguments.a <= -100.00000000000000001",
        "mcp.tool.arguments.a in [1.5, 5.0000000000000001]",
        "1e-400 < mcp.tool.arguments.a",
    ] {
        refused(source, "more digits than a number keeps");
    }
    for source in [
        "mcp.tool.arguments.a <= 100.50",
        "mcp.tool.arguments.a <= -0.1 || mcp.tool.arguments.a > 1e3",
        "mcp.tool.arguments.a <= 9007199254740993",
        "mcp.tool.arguments.a == 18446744073709551615u",
        "mcp.tool.arguments.a == '9007199254740993.0'",
    ] {
        compile(source);
    }
}
