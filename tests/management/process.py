"""Gateways that a script starts and kills itself."""

import os
import re
import signal
import subprocess
import tempfile
import threading

import common


class Gateway:
    """The program on the database of `GATEWAY_DATABASE_URL`, with `config` as its file; ready when made."""

    def __init__(self, folder, config):
        self.log = tempfile.TemporaryFile("w+")
        path = os.path.join(folder, "mcp-gw.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        self.process = subprocess.Popen(
            [os.environ["MCP_GW_HTTP_BIN"], "--config", path],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self.told, self.url = [], None
        listens = threading.Event()
        threading.Thread(target=self._read, args=(listens,), daemon=True).start()
        if not listens.wait(60) or self.url is None:
            self.kill()
            raise SystemExit("the gateway did not start:\n" + "".join(self.told))

    def _read(self, listens):
        for line in self.process.stderr:
            self.told.append(line)
            found = re.search(r"management API at (http://[^ ,]*)", line)
            if found:
                self.url = found[1]
                listens.set()
        listens.set()

    def kill(self):
        """Gives it no time for anything."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        common.check("a gateway that is stopped ends with code 0", code == 0, "".join(self.told[-20:]))

    def ask(self, *args, **named):
        return common.ask(*args, url=self.url, **named)
