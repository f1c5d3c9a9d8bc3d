"""An MCP server that does the same each time: `server.py stdio`, or `server.py http`, which says where it listens.

Tools: `echo` and `read_file` give their arguments back, `fail` fails, `broken` is answered with an error of JSON-RPC, `slow` takes the
`seconds` that it is told, `who` says its name (the argument after the transport). One resource, one prompt.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = sys.argv[2] if len(sys.argv) > 2 else "server"
ANY = {"type": "object"}
NAMES = ("echo", "read_file", "fail", "broken", "slow", "who")
TOOLS = [{"name": name, "description": name, "inputSchema": ANY} for name in NAMES]


def text(said, is_error=False):
    return {"content": [{"type": "text", "text": said}], "isError": is_error}


def call(name, arguments):
    if name in ("echo", "read_file"):
        return text(json.dumps(arguments, sort_keys=True)) | {"structuredContent": arguments}
    if name == "fail":
        return text("it failed", True)
    if name == "slow":
        time.sleep(float(arguments.get("seconds", 1)))
        return text("at last")
    if name == "who":
        return text(NAME)
    if name == "broken":
        raise ValueError("broken as always")
    return text(f"Unknown tool: {name}", True)


def answer(message):
    """What is said to a request; `None` to what is none."""
    if "id" not in message or "method" not in message:
        return None
    params = message.get("params") or {}
    try:
        result = {
            "initialize": lambda: {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
                "serverInfo": {"name": NAME, "version": "1"},
            },
            "ping": dict,
            "tools/list": lambda: {"tools": TOOLS},
            "tools/call": lambda: call(params["name"], params.get("arguments") or {}),
            "resources/list": lambda: {"resources": [{"uri": "test://one", "name": "one"}]},
            "resources/templates/list": lambda: {"resourceTemplates": []},
            "resources/read": lambda: {"contents": [{"uri": params["uri"], "text": "what is in it"}]},
            "prompts/list": lambda: {"prompts": [{"name": "greet", "arguments": [{"name": "who"}]}]},
            "prompts/get": lambda: {
                "messages": [
                    {
                        "role": "user",
                        "content": {"type": "text", "text": f"Hello {(params.get('arguments') or {}).get('who')}"},
                    }
                ]
            },
        }[message["method"]]
    except KeyError:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}}
    try:
        return {"jsonrpc": "2.0", "id": message["id"], "result": result()}
    except ValueError as error:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32000, "message": str(error)}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, body=b""):
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(405)

    do_DELETE = do_GET

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = answer(message)
        if said is None:
            self.say(202)
        else:
            self.say(200, json.dumps(said).encode())

    def log_message(self, *_):
        pass


def over_stdio():
    lock = threading.Lock()
    print(f"{NAME} begins", file=sys.stderr, flush=True)

    def work(message):
        said = answer(message)
        if said is not None:
            with lock:
                sys.stdout.write(json.dumps(said) + "\n")
                sys.stdout.flush()

    for line in sys.stdin:
        if line.strip():
            threading.Thread(target=work, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        over_stdio()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", file=sys.stderr, flush=True)
    server.serve_forever()
