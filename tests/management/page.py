"""The requests of the reference page of MCP Platform's gateway, as the page has them: made with curl."""

import json
import os
import subprocess
import sys

from common import ADMIN, URL, Answer, check, end, expect

UPSTREAM = os.environ["UPSTREAM"]
LIFE = int(os.environ["TOKEN_LIFE"])
SERVER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py"), "stdio", "local"]
JSON = ("-H", "Content-Type: application/json")


def curl(*arguments):
    """What curl gets; it is told to write the headers, too."""
    command = ["curl", "-sS", "-i", "--max-time", "30", *arguments]
    done = subprocess.run(command, capture_output=True, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers["-".join(part.capitalize() for part in name.split("-")).replace("Www", "WWW")] = value.strip()
    return Answer(int(first.split()[1]), headers, body)


def health():
    said = curl(f"{URL}/health")
    counts = {"total", "healthy", "unhealthy"}
    expect(
        "health",
        said,
        200,
        lambda it: it["status"] == "healthy"
        and it["timestamp"].endswith("Z")
        and isinstance(it["uptime"], int)
        and it["version"] == "2.0.0"
        and it["database"] == "connected"
        and it["mcp_servers"].keys() == counts,
    )


def logins():
    form = ("-H", "Content-Type: application/x-www-form-urlencoded")
    path = f"{URL}/auth/login"
    said = curl("-X", "POST", path, *form, "-d", f"username=admin&password={ADMIN}")
    shape = {"access_token", "token_type", "expires_in"}
    expect("login", said, 200, lambda it: it.keys() == shape and it["token_type"] == "bearer" and it["expires_in"] == LIFE)
    for wrong in ("username=admin&password=wrong", f"username=nobody&password={ADMIN}"):
        one = curl("-X", "POST", path, *form, "-d", wrong)
        expect(f"login with {wrong}", one, 401, lambda it: it["detail"] == "Invalid credentials")
    expect("login with JSON", curl("-X", "POST", path, *JSON, "-d", '{"username":"admin","password":"x"}'), 422)
    expect("login without a password", curl("-X", "POST", path, *form, "-d", "username=admin"), 422)
    return "Authorization: Bearer " + said.json["access_token"]


def users(bearer):
    body = '{"username": "newuser", "email": "user@example.com", "password": "password123"}'
    make = ("-X", "POST", f"{URL}/auth/users", "-H", bearer, *JSON, "-d", body)
    said = curl(*make)
    shape = {"id", "username", "email", "full_name", "is_active", "is_superuser", "created_at", "updated_at"}
    expect("user", said, 201, lambda it: shape <= it.keys() and it["is_superuser"] is False)
    check("no hash is shown", b"argon2" not in said.body and b"password" not in said.body, said)
    expect("the same user", curl(*make), 409)
    said = curl("-X", "POST", f"{URL}/auth/login", "-d", "username=newuser&password=password123")
    expect("login of the new user", said, 200)
    theirs = "Authorization: Bearer " + said.json["access_token"]
    lacks = lambda it: it["error_code"] == "INSUFFICIENT_PERMISSIONS" and it["required_permissions"]
    expect("a user makes a user", curl("-X", "POST", f"{URL}/auth/users", "-H", theirs, *JSON, "-d", body), 403, lacks)
    expect("a user lists servers", curl("-H", theirs, f"{URL}/servers"), 200)
    server = '{"template_name": "file-server", "config": {"base_path": "/data"}}'
    said = curl("-X", "POST", f"{URL}/servers", "-H", theirs, *JSON, "-d", server)
    expect("a user registers a server", said, 403, lambda it: it["required_permissions"] == ["gateway:write"])
    return theirs


def keys(bearer):
    body = '{"name": "my-service-key", "permissions": ["gateway:read", "tools:call"]}'
    said = curl("-X", "POST", f"{URL}/auth/api-keys", "-H", bearer, *JSON, "-d", body)
    held = ["gateway:read", "tools:call"]
    expect("key", said, 201, lambda it: it["key"].startswith("mcp_") and it["permissions"] == it["scopes"] == held)
    key = said.json["key"]
    for header in (f"Authorization: Bearer {key}", f"X-API-Key: {key}"):
        expect("servers with a key", curl("-H", header, f"{URL}/servers"), 200)
        expect("a key without `admin`", curl("-X", "POST", f"{URL}/auth/api-keys", "-H", header, *JSON, "-d", body), 403)
    return f"X-API-Key: {key}"


def servers(bearer):
    add = ("-X", "POST", f"{URL}/servers", "-H", bearer, *JSON, "-d")
    said = curl(*add, '{"template_name": "file-server", "config": {"base_path": "/data"}}')
    expect("server", said, 201, lambda it: it["id"] == it["server_id"] and it["status"] == "unhealthy")
    made = said.json["id"]
    for id_, more in (
        ("file-server-1", {"endpoint": UPSTREAM}),
        ("server-123", {"config": {"endpoint": f"{UPSTREAM}/mcp"}}),
        ("server-stdio", {"transport": "stdio", "command": SERVER}),
    ):
        template = "local" if id_ == "server-stdio" else "file-server"
        body = {"template_name": template, "id": id_, **more}
        said = curl(*add, json.dumps(body))
        expect(f"server {id_}", said, 201, lambda it: it["status"] == "healthy" and it["id"] == id_)
    expect("the same server", curl(*add, json.dumps(body)), 409)
    said = curl("-H", bearer, f"{URL}/servers?include_health=true")
    names = {made, "file-server-1", "server-123", "server-stdio"}
    expect("servers", said, 200, lambda it: {one["id"] for one in it} == names and all("status" in one for one in it))
    expect("servers, short", curl("-H", bearer, f"{URL}/servers"), 200, lambda it: "status" not in it[0])
    one = f"{URL}/servers/server-123"
    expect("one server", curl("-H", bearer, one), 200, lambda it: it["template_name"] == "file-server")
    said = curl("-X", "DELETE", "-H", bearer, one)
    check("removed", said.status == 204 and said.body == b"", said)
    expect("removed again", curl("-X", "DELETE", "-H", bearer, one), 404)
    expect("gone", curl("-H", bearer, one), 404)


def calls(bearer, key):
    body = {"server_id": "file-server-1", "tool_name": "read_file", "arguments": {"path": "/data/example.txt"}}
    call = lambda who, **more: curl(
        "-X", "POST", f"{URL}/tools/call", "-H", who, *JSON, "-d", json.dumps(body | more)
    )
    for who in (bearer, key):
        for id_ in ("file-server-1", "server-stdio"):
            expect(
                f"a call of {id_}",
                call(who, server_id=id_),
                200,
                lambda it: it["isError"] is False and "/data/example.txt" in it["content"][0]["text"],
            )
    failed = lambda it: it["isError"] is True
    expect("a call that fails", call(bearer, tool_name="fail"), 200, failed)
    expect("a tool that is not there", call(bearer, tool_name="nothing"), 404)
    expect("a server that is not there", call(bearer, server_id="nothing"), 404)
    expect("an error of the server", call(bearer, tool_name="broken"), 502)
    del body["tool_name"]
    expect("a call without a tool", call(bearer), 422, lambda it: it["detail"][0]["loc"] == ["body", "tool_name"])


def stats(bearer, theirs):
    said = curl("-H", bearer, f"{URL}/stats")
    spread = {"strategy", "total_requests", "requests_per_server"}
    expect(
        "stats",
        said,
        200,
        lambda it: it.keys() >= {"uptime", "total_requests", "active_servers", "healthy_servers"}
        and it["load_balancer"].keys() == spread
        and it["load_balancer"]["strategy"] == "round_robin"
        and it["load_balancer"]["requests_per_server"]["file-server-1"] >= 3
        and it["total_requests"] >= 5,
    )
    check("nothing limits an admin", "X-Ratelimit-Limit" not in said.headers, said.headers)
    said = curl("-H", theirs, f"{URL}/stats")
    check("a user has 1000 an hour", said.headers.get("X-Ratelimit-Limit") == "1000", said.headers)


def errors(bearer):
    for what, path, status in (("nothing there", "/nothing", 404), ("nobody", "/servers", 401)):
        expect(what, curl(f"{URL}{path}"), status)
    said = curl("-H", "Authorization: Bearer wrong", f"{URL}/servers")
    expect("a wrong token", said, 401, lambda it: it["error_code"] == "INVALID_TOKEN")
    expect("another method", curl("-X", "PUT", "-H", bearer, f"{URL}/servers"), 405)
    said = curl("-X", "POST", f"{URL}/servers", "-H", bearer, *JSON, "-d", "{")
    expect("no JSON", said, 422, lambda it: it["error_code"] == "VALIDATION_ERROR" and it["detail"][0]["loc"] == ["body"])
    said = curl("-H", "Origin: https://app.example.com", f"{URL}/health")
    check("pages of all origins may ask", said.headers.get("Access-Control-Allow-Origin"), said.headers)


if __name__ == "__main__":
    health()
    admin = logins()
    user = users(admin)
    api_key = keys(admin)
    servers(admin)
    calls(admin, api_key)
    stats(admin, user)
    errors(admin)
    end()
