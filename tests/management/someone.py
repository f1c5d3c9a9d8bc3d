"""Says the key of an admin, its number, the number of its user, and the token of an ordinary user."""

from common import ask, login

admin = login()
me = ask("GET", "/auth/me", token=admin).json["user"]["id"]
key = ask("POST", "/auth/api-keys", {"name": "schema", "permissions": ["admin"]}, admin).json
# For what takes another one: it must not be the last.
ask("POST", "/auth/users", {"username": "someone", "password": "password123"}, admin)
print(key["key"], key["id"], me, login("someone", "password123"), sep="\n")
