"""Kills a gateway in the middle of writes, again and again: what was acknowledged is there, once and whole.

    GATEWAY_DATABASE_URL=... crash.py [ROUNDS]
"""

import itertools
import os
import random
import sys
import tempfile
import threading
import time
import urllib.error

import common
from common import ADMIN, check
from process import Gateway

CONFIG = f"""
http: {{ listen: "127.0.0.1:0" }}
policy: {{ default: allow }}
management:
  database_url: "{os.environ['GATEWAY_DATABASE_URL']}"
  admin_password: "{ADMIN}"
"""

GONE = (urllib.error.URLError, ConnectionError, TimeoutError, OSError)
number = itertools.count()


class Round:
    """Writers that go on until the gateway is gone, and what it acknowledged to them."""

    def __init__(self, gateway, token):
        self.gateway, self.token = gateway, token
        self.users, self.keys, self.servers, self.gone = {}, {}, {}, set()
        self.odd = []

    def write(self, what):
        try:
            while True:
                what(f"n{next(number)}")
        except GONE:
            pass

    def post(self, path, body, wanted=201):
        answer = self.gateway.ask("POST", path, body, token=self.token)
        if answer.status != wanted:
            self.odd.append(f"{path}: {answer}")
            raise ConnectionError
        return answer.json

    def user(self, name):
        made = self.post("/auth/users", {"username": name, "password": "a password of nobody"})
        self.users[name] = made["id"]

    def key(self, name):
        made = self.post("/auth/api-keys", {"name": name, "permissions": ["gateway:read"]})
        self.keys[name] = (made["id"], made["key"])

    def server(self, name):
        made = self.post("/servers", {"template_name": f"t{name}", "id": name, "config": {"x": name}})
        self.servers[name] = made["template_name"]
        if int(name[1:]) % 3 == 0:
            answer = self.gateway.ask("DELETE", f"/servers/{name}", token=self.token)
            if answer.status == 204:
                self.gone.add(name)

    def run(self, seconds):
        writers = [threading.Thread(target=self.write, args=(what,)) for what in (self.user, self.key, self.server, self.key)]
        for writer in writers:
            writer.start()
        # However slow the machine is: there is something of each kind to lose.
        until = time.monotonic() + 30
        while not (self.users and self.keys and self.servers) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(seconds)
        self.gateway.kill()
        for writer in writers:
            writer.join()


def every(gateway, token, path):
    """All items of a list, page by page."""
    items, cursor = [], ""
    while cursor is not None:
        page = gateway.ask("GET", f"{path}{'&' if '?' in path else '?'}limit=1000{cursor}", token=token)
        if page.status != 200:
            raise SystemExit(f"{path}: {page}")
        items += page.json["items"]
        cursor = page.json["next_cursor"]
        cursor = cursor and f"&cursor={cursor}"
    return items


def look(gateway, token, rounds):
    users = {user["username"]: user["id"] for user in every(gateway, token, "/auth/users")}
    keys = {key["name"]: key["id"] for key in every(gateway, token, "/auth/api-keys")}
    servers = gateway.ask("GET", "/servers", token=token).json
    servers = {server["id"]: server for server in servers}
    events = every(gateway, token, "/audit/events?outcome=ok")
    done = {(event["method"], event["name"]) for event in events}
    seen = [event["request_id"] for event in events]
    for one in rounds:
        check("nothing odd was answered", not one.odd, one.odd[:3])
        for name, id in one.users.items():
            check(f"the user {name} is there", users.get(name) == id, users.get(name))
            check(f"it is known that the user {name} was made", ("create_user", name) in done)
        for name, (id, text) in one.keys.items():
            check(f"the key {name} is there", keys.get(name) == id, keys.get(name))
            check(f"it is known that the key {name} was made", ("create_key", str(id)) in done)
        for name, template in one.servers.items():
            if name in one.gone:
                check(f"the server {name} is gone", name not in servers)
            elif name in servers:
                whole = servers[name]["template_name"] == template and servers[name]["config"] == {"x": name}
                check(f"the server {name} is whole", whole, servers[name])
            else:
                # It may have been removed without anybody hearing of it.
                check(f"the server {name} is there", int(name[1:]) % 3 == 0)
    check("each event is there once", len(seen) == len(set(seen)))
    last = rounds[-1]
    for _, text in list(last.keys.values())[:5]:
        check("a key works", gateway.ask("GET", "/servers", token=text).status == 200)


def main():
    rounds, chance = [], random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 6):
            gateway = Gateway(folder, CONFIG)
            token = common.login(url=gateway.url)
            if rounds:
                look(gateway, token, rounds)
            one = Round(gateway, token)
            one.run(chance.uniform(0.3, 1.5))
            rounds.append(one)
        gateway = Gateway(folder, CONFIG)
        look(gateway, common.login(url=gateway.url), rounds)
        gateway.stop()
    made = [sum(len(getattr(one, what)) for one in rounds) for what in ("users", "keys", "servers")]
    check("there was something to lose", min(made) >= len(rounds), made)
    print(f"acknowledged: {made[0]} users, {made[1]} keys, {made[2]} servers in {len(rounds)} rounds")
    common.end()


main()
