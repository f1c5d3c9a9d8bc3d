"""What nobody should send, to the real program: credentials, types, members, texts, sizes, the objects of others."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import threading
import time
import urllib.parse

from common import URL, ask, check, end, expect, login

UPSTREAM = os.environ["UPSTREAM"]
admin = login()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_of(head, claims, key=b"x" * 32):
    signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    return signed + "." + b64(hmac.new(key, signed.encode(), hashlib.sha256).digest())


def credentials():
    now = int(time.time())
    claims = {"sub": "1", "username": "admin", "epoch": 0, "jti": "x", "iss": "mcp-gw", "aud": "mcp-gw", "iat": now, "exp": now + 60}
    head, payload, mark = admin.split(".")
    own = json.loads(base64.urlsafe_b64decode(payload + "=="))
    wrong = {
        "foreign": token_of({"alg": "HS256", "typ": "JWT"}, claims),
        "of the default secret": token_of({"alg": "HS256", "typ": "JWT"}, claims, b"your-secret-key"),
        "unsigned": b64(b'{"alg":"none"}') + "." + payload + ".",
        "of another payload": f"{head}.{b64(json.dumps(own | {'sub': '2'}).encode())}.{mark}",
        "with its life prolonged": f"{head}.{b64(json.dumps(own | {'exp': now + 10**6}).encode())}.{mark}",
        "cut": admin[:-2],
        "too long": "a" * 6000,
        "a key of no one": "mcp_" + "a" * 26 + "_" + "b" * 43,
        "a key as the other gateway makes them": "mcp_" + "b" * 43,
        "the beginning of a key": "mcp_",
    }
    for what, token in wrong.items():
        expect(what, ask("GET", "/servers", token=token), 401, lambda it: it["error_code"] == "INVALID_TOKEN")
        check(f"{what}: X-API-Key", ask("GET", "/servers", headers={"X-API-Key": token}).status == 401)
    for what, headers, status in (
        ("another scheme", {"Authorization": "Basic YTpi"}, 401),
        ("no token", {"Authorization": "Bearer"}, 401),
        ("two", {"Authorization": f"Bearer {admin}", "X-API-Key": "mcp_a"}, 401),
    ):
        said = ask("GET", "/servers", headers=headers)
        check(f"{what}: {status}", said.status == status and said.json["error_code"], said)
    expect("in the query", ask("GET", f"/servers?access_token={admin}&api_key={admin}"), 401)
    # Ended, one after the other.
    ask("POST", "/auth/users", {"username": "ends", "password": "password123"}, admin)
    token = login("ends", "password123")
    expect("before the logout", ask("GET", "/servers", token=token), 200)
    check("logout", ask("POST", "/auth/logout", token=token).status == 204)
    expect("after the logout", ask("GET", "/servers", token=token), 401)
    order = {"name": "old", "permissions": ["gateway:read"], "expires_at": "2001-01-01T00:00:00Z"}
    said = ask("POST", "/auth/api-keys", order, admin)
    if said.status == 201:
        expect("an expired key", ask("GET", "/servers", token=said.json["key"]), 401)
    else:
        expect("a key that is over", said, 422)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    short = expect("a short key", ask("POST", "/auth/api-keys", order | {"expires_at": soon}, admin), 201).json
    made = expect("a key", ask("POST", "/auth/api-keys", {"name": "k", "permissions": ["gateway:read"]}, admin), 201).json
    expect("the key", ask("GET", "/servers", token=made["key"]), 200)
    turned = expect("exchanged", ask("POST", f"/auth/api-keys/{made['id']}/rotate", token=admin), 200).json
    expect("the old text", ask("GET", "/servers", token=made["key"]), 401)
    expect("the new text", ask("GET", "/servers", token=turned["key"]), 200)
    expect("revoked", ask("POST", f"/auth/api-keys/{made['id']}/revoke", token=admin), 200)
    expect("a revoked key", ask("GET", "/servers", token=turned["key"]), 401)
    while time.time() < time.mktime(time.strptime(soon, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone + 0.1:
        time.sleep(0.1)
    expect("a key whose time is over", ask("GET", "/servers", token=short["key"]), 401)


def others():
    """What a user may not, and may not even see."""
    ids = {}
    for name in ("ann", "bob"):
        said = ask("POST", "/auth/users", {"username": name, "password": "password123"}, admin)
        ids[name] = expect(f"user {name}", said, 201).json["id"]
    ann, bob = login("ann", "password123"), login("bob", "password123")
    order = {"name": "of bob", "scopes": ["tools:call"], "user_id": ids["bob"]}
    key = expect("a key for bob", ask("POST", "/auth/api-keys", order, admin), 201).json
    expect("bob sees it", ask("GET", f"/auth/api-keys/{key['id']}", token=bob), 200)
    for method, path in (
        ("GET", f"/auth/api-keys/{key['id']}"),
        ("POST", f"/auth/api-keys/{key['id']}/rotate"),
        ("POST", f"/auth/api-keys/{key['id']}/revoke"),
        ("DELETE", f"/auth/api-keys/{key['id']}"),
        ("GET", f"/auth/users/{ids['bob']}"),
        ("GET", "/auth/users/1"),
        ("GET", f"/auth/api-keys?user_id={ids['bob']}"),
    ):
        said = ask(method, path, token=ann)
        empty = said.status == 200 and said.json == {"items": [], "next_cursor": None}
        check(f"ann: {method} {path}", said.status == 404 or empty, said)
    expect("the key still is", ask("GET", f"/auth/api-keys/{key['id']}", token=bob), 200)
    for method, path, body in (
        ("POST", "/auth/users", {"username": "eve", "password": "password123", "is_superuser": True}),
        ("PATCH", f"/auth/users/{ids['ann']}", {"is_superuser": True}),
        ("DELETE", f"/auth/users/{ids['bob']}", None),
        ("POST", "/auth/api-keys", {"name": "k", "permissions": ["admin"]}),
        ("POST", "/servers", {"template_name": "x", "endpoint": UPSTREAM}),
        ("POST", "/gateway/templates/x/instances", {"id": "x", "endpoint": UPSTREAM}),
        ("DELETE", "/gateway/templates/x/instances/x", None),
    ):
        expect(f"ann: {method} {path}", ask(method, path, body, ann), 403, lambda it: it["required_permissions"])
    # A key has no more than its user has now.
    order = {"name": "too much", "scopes": ["admin", "gateway:write"], "user_id": ids["ann"]}
    said = ask("POST", "/auth/api-keys", order, admin)
    if said.status == 201:
        expect("a key with more than its user", ask("GET", "/auth/users", token=said.json["key"]), 403)
    else:
        check("a key with more than its user", said.status in (403, 422), said)
    expect("a key of nobody", ask("POST", "/auth/api-keys", {"name": "k", "permissions": [], "user_id": 999999}, admin), 422)
    expect("disabled", ask("PATCH", f"/auth/users/{ids['bob']}", {"is_active": False}, admin), 200)
    for who in (bob, key["key"]):
        expect("of a disabled user", ask("GET", "/auth/me", token=who), 401)
    said = ask("POST", "/auth/login", b"username=bob&password=password123", headers={"Content-Type": "application/x-www-form-urlencoded"})
    expect("login of a disabled user", said, 401)
    check("removed", ask("DELETE", f"/auth/users/{ids['ann']}", token=admin).status == 204)
    expect("of a removed user", ask("GET", "/auth/me", token=ann), 401)
    me = expect("me", ask("GET", "/auth/me", token=admin), 200).json["user"]["id"]
    last = lambda it: it["error_code"] == "LAST_ADMIN"
    expect("the last superuser goes", ask("DELETE", f"/auth/users/{me}", token=admin), 409, last)
    expect("the last superuser", ask("PATCH", f"/auth/users/{me}", {"is_superuser": False}, admin), 409, last)


HOSTILE = ["", " ", "\u0000", "a\u0000b", "\r\nX: y", "'; DROP TABLE users; --", "../../etc/passwd", "%00", "\u202e", "\ud83d\udca3" * 50, "x" * 70000, "{{7*7}}", "__proto__", "\\"]
ROUTES = {
    "/auth/users": {"username": "t", "password": "password123"},
    "/auth/api-keys": {"name": "t", "permissions": ["gateway:read"]},
    "/servers": {"template_name": "t"},
    "/gateway/templates/t/instances": {"id": "t"},
    "/tools/call": {"server_id": "t", "tool_name": "t"},
    "/mcp/t/tools/call": {"name": "t"},
    "/mcp/t/resources/read": {"uri": "t"},
    "/mcp/t/prompts/get": {"name": "t"},
}


def bodies():
    for path, good in ROUTES.items():
        for name in good:
            for wrong in (None, 1, True, 1.5, [], {}, [None], {"a": {}}):
                if isinstance(good[name], list) and wrong in (None, []):
                    continue
                said = ask("POST", path, good | {name: wrong}, admin)
                check(f"{path} {name}={wrong!r}", said.status == 422 and said.json["detail"], said)
            said = ask("POST", path, {key: value for key, value in good.items() if key != name}, admin)
            if name != "permissions":
                expect(f"{path} without {name}", said, 422, lambda it: it["detail"][0]["loc"] == ["body", name])
            if isinstance(good[name], str):
                for hostile in HOSTILE:
                    said = ask("POST", path, good | {name: hostile}, admin)
                    check(f"{path} {name}={hostile[:20]!r}", said.status < 500 or said.status == 503, said)
        for raw in (b"", b"{", b"[]", b"null", b'"x"', b"{} {}", b"\xef\xbb\xbf{}", b"\xff\xfe", b"[" * 50000, b'{"a":' * 50000):
            expect(f"{path} {raw[:10]!r}", ask("POST", path, raw, admin), 422)
        said = ask("POST", path, b"a=b", admin, {"Content-Type": "application/x-www-form-urlencoded"})
        expect(f"{path}: a form", said, 415)
        twice = b'{"%s":"a","%s":"b"}' % ((next(iter(good)).encode(),) * 2)
        expect(f"{path}: twice", ask("POST", path, twice, admin), 422)
    said = ask("POST", "/auth/users", b" " * (12 << 20), admin)
    check("12 MiB", said.status == 413, said)
    expect("unknown members are named", ask("POST", "/servers", {"template_name": "t", "wrong_one": 1}, admin), 201)
    expect("of our own routes they are refused", ask("PATCH", "/auth/users/1", {"wrong_one": 1}, admin), 422)
    for where in ("/auth/users", "/auth/api-keys", "/servers", "/gateway/templates", "/mcp"):
        for part in ("x", "-1", "0", "99999999999999999999", "%00", "%FF", "..%2f..", "%F0%9F%92%A3", "a%0d%0ab"):
            said = ask("GET", f"{where}/{part}", token=admin)
            check(f"GET {where}/{part}", said.status in (400, 404, 405, 406, 422), said)


def endpoints():
    add = lambda more: ask("POST", "/servers", {"template_name": "egress", **more}, admin)
    for wrong in ("http://169.254.169.254/latest", "http://metadata.google.internal@169.254.169.254/", "file:///etc/passwd", "ftp://a", "x", "", "http://", "http://u:p@example.com", "http://[::ffff:169.254.169.254]/"):
        for more in ({"endpoint": wrong}, {"config": {"endpoint": wrong}}):
            expect(f"endpoint {wrong}", add(more), 422, lambda it: "endpoint" in it["detail"][0]["loc"])
    for more in (
        {"transport": "ftp"},
        {"command": []},
        {"command": {"a": 1}},
        {"backend": "moon"},
        {"env_vars": {"A": 1}},
        {"env_vars": {"A=B": "x"}, "command": ["true"]},
        {"config": []},
        {"instance_metadata": "x"},
        {"endpoint": UPSTREAM, "config": {"endpoint": UPSTREAM}},
    ):
        expect(f"server {more}", add(more | ({"transport": "stdio"} if more.get("command") == [] else {})), 422)
    # From elsewhere, an admin may not have programs run.
    said = ask("POST", "/servers", {"template_name": "e", "transport": "stdio", "command": ["true"]}, admin, {"X-Forwarded-For": "10.0.0.1"})
    expect("a command through a proxy", said, 422, lambda it: it["detail"][0]["type"] == "value_error.command")
    # Where nobody answers it is kept, and unhealthy; and does not take long.
    begin = time.monotonic()
    made = expect("nobody there", add({"endpoint": "http://127.0.0.1:9"}), 201, lambda it: it["status"] == "unhealthy")
    check("without waiting", time.monotonic() - begin < 20, time.monotonic() - begin)
    call = {"server_id": made.json["id"], "tool_name": "echo"}
    expect("a call there", ask("POST", "/tools/call", call, admin), 503)
    secret = expect("variables", add({"transport": "stdio", "command": ["/nonexistent"], "env_vars": {"TOKEN": "hidden-0123"}}), 201)
    check("are not shown", b"hidden-0123" not in secret.body, secret)
    said = ask("GET", "/servers?include_health=true", token=admin)
    check("nor in the list", b"hidden-0123" not in said.body)


def in_use():
    """A server that is removed while a call is under way there."""
    made = ask("POST", "/servers", {"template_name": "in-use", "id": "in-use", "endpoint": UPSTREAM}, admin)
    expect("a server", made, 201)
    said = []
    call = {"server_id": "in-use", "tool_name": "slow", "arguments": {"seconds": 3}}
    one = threading.Thread(target=lambda: said.append(ask("POST", "/tools/call", call, admin)))
    one.start()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        shown = ask("GET", "/servers/in-use", token=admin).json
        if shown["active_connections"] > 0:
            break
    expect("a template in use", ask("DELETE", "/gateway/templates/in-use", token=admin), 409)
    check("removed", ask("DELETE", "/servers/in-use", token=admin).status == 204)
    expect("no more calls", ask("POST", "/tools/call", call, admin), 404)
    one.join()
    check("what was under way ends", said and said[0].status in (200, 502, 503), said and said[0])


def revisions():
    said = ask("POST", "/servers", {"template_name": "rev", "id": "rev", "config": {"n": 1}}, admin)
    tag = said.headers["ETag"]
    change = lambda body, tag: ask("PATCH", "/servers/rev", body, admin, {"If-Match": tag})
    expect("changed", change({"config": {"n": 2}}, tag), 200)
    expect("changed meanwhile", change({"config": {"n": 3}}, tag), 412)
    expect("no tag", change({"config": {"n": 3}}, "x"), 422)
    # Never the current one: `If-Match` compares strongly (RFC 9110 section 13.1.1).
    expect("a weak tag", change({"config": {"n": 3}}, f"W/{tag}"), 412)
    expect("is what it was", ask("GET", "/servers/rev", token=admin), 200, lambda it: it["config"] == {"n": 2})


def wire():
    """Below what a client library sends."""
    host = urllib.parse.urlsplit(URL).netloc

    def raw(data):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.connect()
        connection.sock.sendall(data)
        try:
            return connection.sock.recv(4096)
        finally:
            connection.close()

    head = b"Host: " + host.encode() + b"\r\nAuthorization: Bearer " + admin.encode() + b"\r\n"
    said = raw(b"POST /servers HTTP/1.1\r\n" + head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX")
    check("two lengths", not said.startswith(b"HTTP/1.1 2"), said)
    said = raw(b"GET /servers HTTP/1.1\r\n" + head + b"X-Request-Id: a b\r\nX-Api-Key: \xff\r\n\r\n")
    check("bytes", said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")), said)
    # Gone while it asks.
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("POST", "/auth/users", json.dumps({"username": "gone", "password": "password123"}), {"Authorization": f"Bearer {admin}", "Content-Type": "application/json"})
    connection.close()
    # Made, or not at all: nobody was told.
    said = ask("POST", "/auth/users", {"username": "gone", "password": "password123"}, admin)
    check("made whole or not at all", said.status in (201, 409), said)
    expect("and can be used", ask("GET", "/auth/me", token=login("gone", "password123")), 200)
    said = ask("GET", "/health", headers={"X-Request-Id": "my-own:1"})
    check("the id of a request", said.headers["X-Request-Id"] == "my-own:1", said.headers)


def guesses():
    """At the end: it shuts this address out for some minutes."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    said = [ask("POST", "/auth/login", f"username=bob&password=wrong{n}".encode(), headers=form) for n in range(40)]
    seen = [one.status for one in said]
    check("guesses are throttled", set(seen) == {401, 429} and seen.index(429) <= 30, seen)
    check("and told when to come again", int(said[-1].headers["Retry-After"]) > 0, said[-1].headers)
    expect("tokens are good as before", ask("GET", "/auth/me", token=admin), 200)


for part in (credentials, others, bodies, endpoints, in_use, revisions, wire, guesses):
    part()
expect("it is well", ask("GET", "/health"), 200, lambda it: it["status"] == "healthy")
end()
