"""A database that is locked, slow or gone: `faults.py sqlite FILE`, or `faults.py postgres FOLDER` of its cluster.

For as long as that lasts writes are refused with 503, what is known is answered, and nothing is half there afterwards.
"""

import os
import signal
import sqlite3
import sys
import threading
import time

from common import ask, check, end, expect, login

# Longer than the gateway ever waits for its database.
LONG = 60
admin = login()
order = {"name": "k", "permissions": ["gateway:read", "tools:call"]}
key = ask("POST", "/auth/api-keys", order, admin).json["key"]
ask("POST", "/servers", {"template_name": "faults", "id": "faults", "endpoint": os.environ["UPSTREAM"]}, admin)
call = {"server_id": "faults", "tool_name": "echo", "arguments": {"n": 1}}
expect("before", ask("POST", "/tools/call", call, key), 200)
expect("before", ask("GET", "/servers", token=admin), 200)


def write(name):
    return ask("POST", "/servers", {"template_name": "faults", "id": name}, admin, timeout=LONG)


def refused(what, names):
    """All of these are not made, in time, at once."""
    said = {}
    begin = time.monotonic()
    work = [threading.Thread(target=lambda name=name: said.update({name: write(name)})) for name in names]
    [one.start() for one in work]
    expect(f"{what}: a call of who is known", ask("POST", "/tools/call", call, key, timeout=LONG), 200)
    [one.join() for one in work]
    took = time.monotonic() - begin
    check(f"{what}: in time", took < LONG, took)
    known = {"SERVICE_UNAVAILABLE", "OUTCOME_UNKNOWN"}
    for name in names:
        good = said[name].status == 503 and said[name].json["error_code"] in known
        check(f"{what}: a write", good and said[name].headers.get("Retry-After", "1"), said[name])
    return said


def again(what, said):
    """What was not acknowledged is there whole or not at all; and all goes on."""
    until = time.monotonic() + LONG
    while ask("GET", "/health", timeout=LONG).status != 200 and time.monotonic() < until:
        time.sleep(0.1)
    expect(f"{what}: well again", ask("GET", "/health"), 200, lambda it: it["database"] == "connected")
    for name, answer in said.items():
        found = ask("GET", f"/servers/{name}", token=admin)
        is_sure = answer.json["error_code"] == "SERVICE_UNAVAILABLE"
        check(f"{what}: nothing half-written", found.status == 404 or (not is_sure and found.status == 200), found)
        if found.status == 404:
            expect(f"{what}: now it is made", write(name), 201)
    expect(f"{what}: a login", ask("GET", "/auth/me", token=login()), 200)
    expect(f"{what}: a call", ask("POST", "/tools/call", call, key), 200)


def of_sqlite(file):
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    said = refused("locked", ["a", "b", "c"])
    expect("locked: what is read", ask("GET", "/servers", token=admin), 200)
    other.execute("ROLLBACK")
    again("locked", said)
    # Let go in time, nobody notices.
    other.execute("BEGIN IMMEDIATE")
    done = []
    one = threading.Thread(target=lambda: done.append(write("waits")))
    one.start()
    time.sleep(0.5)
    other.execute("ROLLBACK")
    one.join()
    expect("locked for a moment", done[0], 201)


def processes(folder):
    """The server and what it started for its clients."""
    first = int(open(f"{folder}/data/postmaster.pid").readline())
    found = [first]
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == first:
            found.append(int(name))
    return found


def of_postgres(folder):
    stopped = processes(folder)
    for one in stopped:
        os.kill(one, signal.SIGSTOP)
    try:
        said = refused("slow", ["a", "b", "c"])
        health = ask("GET", "/health", timeout=LONG)
        check("slow: health", health.status == 503 and health.json["database"] == "unavailable", health)
    finally:
        for one in stopped:
            os.kill(one, signal.SIGCONT)
    again("slow", said)


def gone():
    """PostgreSQL was stopped by whoever runs this."""
    said = refused("gone", ["d", "e"])
    check("gone: health", ask("GET", "/health", timeout=LONG).status == 503)
    form = b"username=admin&password=password"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    check("gone: a login", ask("POST", "/auth/login", form, headers=kind, timeout=LONG).status == 503)
    return said


if sys.argv[1] == "sqlite":
    of_sqlite(sys.argv[2])
else:
    of_postgres(sys.argv[2])
    # Gone in the middle of requests; the script that runs this starts it again when it is told.
    os.kill(processes(sys.argv[2])[0], signal.SIGINT)
    while os.path.exists(f"{sys.argv[2]}/data/postmaster.pid"):
        time.sleep(0.05)
    before = gone()
    open(f"{sys.argv[2]}/start-again", "w").close()
    again("gone", before)
end()
