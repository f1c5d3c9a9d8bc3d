"""What the scripts beside this one share: requests, and what is held to be so."""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ["GATEWAY_URL"]
ADMIN = os.environ["GATEWAY_ADMIN_PASSWORD"]

passed = failed = 0


def check(what, holds, told=""):
    """Counts; says what does not hold."""
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"not ok: {what}: {str(told)[:600]}", flush=True)
    return bool(holds)


def end():
    """The last line, and how it went."""
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    def __str__(self):
        return f"{self.status} {self.body[:500]!r}"


def ask(method, path, body=None, token=None, headers=None, timeout=30, url=URL):
    """A request; `body` is JSON, or bytes that are sent as they are."""
    headers = dict(headers or {})
    data = body
    if body is not None and not isinstance(body, bytes):
        data = json.dumps(body).encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    if token:
        headers.setdefault("Authorization", f"Bearer {token}")
    request = urllib.request.Request(url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def expect(what, answer, status, holds=lambda said: True):
    """Such a status, and JSON for which `holds`; an error has the one shape that errors have."""
    good = answer.status == status and answer.headers.get("X-Request-Id")
    if status >= 400:
        said = answer.json
        shape = isinstance(said, dict) and {"detail", "error_code", "request_id"} <= said.keys()
        good = good and shape and said["request_id"] == answer.headers["X-Request-Id"]
        good = good and (status != 401 or answer.headers.get("WWW-Authenticate", "").startswith("Bearer"))
    try:
        good = good and holds(answer.json)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        good, what = False, f"{what} ({error!r})"
    check(f"{what}: expected {status}", good, answer)
    return answer


def login(name="admin", password=ADMIN, url=URL):
    form = f"username={name}&password={password}".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask("POST", "/auth/login", form, headers=kind, url=url)
    if answer.status != 200:
        raise SystemExit(f"cannot log in as {name}: {answer}")
    return answer.json["access_token"]
