"""Two gateways on one database and one Redis are one gateway.

    GATEWAY_DATABASE_URL=... UPSTREAM=... fleet.py
"""

import os
import socket
import subprocess
import tempfile
import threading
import time

import common
from common import ADMIN, check, expect
from process import Gateway

LIMIT = 40


def redis(folder):
    """A Redis of its own: the process, and its URL."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as asked:
                    asked.sendall(b"PING\r\n")
                    if asked.recv(16).startswith(b"+PONG"):
                        return process, f"redis://127.0.0.1:{port}"
            except OSError:
                time.sleep(0.05)
        process.kill()
    raise SystemExit("redis-server did not start")


REDIS_FOLDER = tempfile.TemporaryDirectory()
REDIS, REDIS_URL = redis(REDIS_FOLDER.name)
CONFIG = f"""
http: {{ listen: "127.0.0.1:0" }}
policy: {{ default: allow }}
limits:
  redis: {{ url: "{REDIS_URL}", prefix: "mcp-gw-fleet-{os.getpid()}" }}
  rules:
    - {{ name: calls, per: caller, quota: {LIMIT}, window: 1h, for: {{ kinds: [api_key] }} }}
management:
  database_url: "{os.environ['GATEWAY_DATABASE_URL']}"
  admin_password: "{ADMIN}"
  allow_private: true
"""


def soon(what, holds, seconds=10):
    """What one gateway did is known to the other without being asked for; how long that may take is in the docs."""
    until = time.monotonic() + seconds
    while not (good := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    check(what, good)


def main():
    folders = [tempfile.TemporaryDirectory(), tempfile.TemporaryDirectory()]
    one, other = (Gateway(folder.name, CONFIG) for folder in folders)
    token = common.login(url=one.url)

    # Users, tokens.
    name = f"user{os.getpid()}"
    expect("a user", one.ask("POST", "/auth/users", {"username": name, "password": "a long password"}, token=token), 201)
    hers = common.login(name, "a long password", url=other.url)
    expect("a token of the other", one.ask("GET", "/auth/me", token=hers), 200, lambda me: me["user"]["username"] == name)
    expect("the end of it", one.ask("POST", "/auth/logout", token=hers), 204)
    soon("a token that ended at one is refused by the other", lambda: other.ask("GET", "/auth/me", token=hers).status == 401)
    for n in range(10):
        gateway = (one, other)[n % 2]
        form = f"username=nobody{os.getpid()}&password=wrong".encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        expect("a wrong password", gateway.ask("POST", "/auth/login", form, headers=kind), 401)
    for gateway in (one, other):
        answer = gateway.ask("POST", "/auth/login", form, headers=kind)
        expect("the eleventh", answer, 429)
        check("when to come again", int(answer.headers.get("Retry-After", 0)) > 0, answer.headers)

    # Servers: in the other's lists, at the MCP endpoint too, and gone there.
    server = f"s{os.getpid()}"
    body = {"template_name": server, "id": server, "config": {"endpoint": os.environ["UPSTREAM"]}}
    expect("a server", one.ask("POST", "/servers", body, token=token), 201)
    key = {"name": "fleet", "permissions": ["gateway:read", "tools:call"]}
    made = expect("a key", one.ask("POST", "/auth/api-keys", key, token=token), 201).json
    key = made["key"]
    soon("the other has the server", lambda: other.ask("GET", f"/servers/{server}", token=key).status == 200)

    def listed(gateway):
        list = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}}
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
        answer = gateway.ask("POST", "/mcp", list, token=token, headers=headers)
        names = [tool["name"] for tool in (answer.json or {}).get("result", {}).get("tools", [])]
        return f"{server}__echo" in names
    soon("its tools are in the list of one", lambda: listed(one))
    soon("and of the other", lambda: listed(other))

    # One limit for both.
    call = {"server_id": server, "tool_name": "echo", "arguments": {"a": 1}}
    said = []

    def call_often(gateway):
        for _ in range(LIMIT):
            said.append(gateway.ask("POST", "/tools/call", call, token=key).status)
    callers = [threading.Thread(target=call_often, args=(gateway,)) for gateway in (one, other) * 2]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    check("never more than the limit, all of it", said.count(200) == LIMIT, {status: said.count(status) for status in set(said)})
    check("the rest is told so", said.count(429) == len(said) - LIMIT)

    # Keys that end, servers that go.
    expect("another key", one.ask("POST", f"/auth/api-keys/{made['id']}/rotate", token=token), 200)
    soon("the old text is refused by the other", lambda: other.ask("GET", "/servers", token=key).status == 401)
    expect("the end of the server", other.ask("DELETE", f"/servers/{server}", token=token), 204)
    soon("one has it no more", lambda: one.ask("GET", f"/servers/{server}", token=token).status == 404)
    soon("and lists its tools no more", lambda: not listed(one))

    # One goes, and the other does not mind.
    one.kill()
    expect("the other goes on", other.ask("GET", "/servers", token=token), 200)
    events = other.ask("GET", f"/audit/events?method=create_user&name={name}", token=token)
    expect("what the one did is known", events, 200, lambda found: len(found["items"]) == 1)
    other.stop()


try:
    main()
finally:
    REDIS.kill()
    REDIS.wait()
common.end()
