"""Drives an MCP server with the `mcp` package 2.x. The same checks and options as ../node/checks.mjs."""

import argparse
import json
import os
import sys
import threading
import time
import traceback
import uuid
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

MODERN = "2026-07-28"
LONG = "trigger-long-running-operation"
CHICAGO = {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--http", metavar="URL")
    where.add_argument("--stdio", action="store_true", help="start the COMMAND after --")
    parser.add_argument("--era", choices=["legacy", "auto", "modern"], default="legacy")
    parser.add_argument("--expect-version", metavar="VERSION")
    parser.add_argument("--expect-tools", type=int, metavar="N")
    parser.add_argument("--unknown-tool", default="any", metavar="result|error:CODE|any")
    parser.add_argument("--bad-arguments", default="any", metavar="result|error:CODE|any")
    parser.add_argument("--after-cancel", choices=["quiet", "any"], default="any")
    parser.add_argument("--on-close", choices=["leaves", "any"], default="any")
    parser.add_argument("--bearer", metavar="KEY")
    parser.add_argument("--watchdog", type=float, default=60, metavar="SECONDS")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    if options.stdio != bool(options.command):
        parser.error("--stdio and a COMMAND after -- go together")
    return options


class Failed(Exception):
    """A check did not hold."""


def same(actual: object, expected: object, what: str = "value") -> None:
    if actual != expected:
        raise Failed(f"{what}: expected {expected!r}, got {actual!r}")


def holds(condition: object, why: str) -> None:
    if not condition:
        raise Failed(why)


def root(error: BaseException) -> BaseException:
    """The first real error inside the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Checklist:
    """Runs checks one after the other and counts. A failed check does not stop the ones after it."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.current = "start"

    async def check(self, title: str, run: Callable[[], Awaitable[str | None]]) -> bool:
        self.current = title
        try:
            note = await run()
        except Exception as error:
            self.fail(title, root(error))
            return False
        self.passed += 1
        print(f"ok {title}" + (f" ({note})" if note else ""), flush=True)
        return True

    def fail(self, title: str, error: BaseException | str) -> None:
        self.failed += 1
        if isinstance(error, BaseException) and not isinstance(error, Failed):
            error = f"{type(error).__name__}: {error}"
        print(f"not ok {title}: {error}", flush=True)

    def finish(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0


class Tap:
    """Sees each message that comes in before the SDK does."""

    def __init__(self, stream: Any, wire: "Wire") -> None:
        self._stream, self._wire = stream, wire

    async def receive(self) -> Any:
        return self._wire.saw(await self._stream.receive())

    def __aiter__(self) -> "Tap":
        return self

    async def __anext__(self) -> Any:
        return self._wire.saw(await self._stream.__anext__())

    async def __aenter__(self) -> "Tap":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Wire:
    """What came in on the wire, with the time."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, Any], float]] = []
        self.noticed: Counter[str] = Counter()

    def saw(self, item: Any) -> Any:
        if isinstance(item, SessionMessage):
            message = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
            self.messages.append((message, time.monotonic()))
        else:
            self.noticed[f"{type(item).__name__}: {item}"[:200]] += 1
        return item

    def progress(self) -> list[dict[str, Any]]:
        return [
            {**message["params"], "at": at, "index": index}
            for index, (message, at) in enumerate(self.messages)
            if message.get("method") == "notifications/progress"
        ]

    def result(self, text: str) -> int:
        """Where the result with this text is, or -1."""
        for index, (message, _) in enumerate(self.messages):
            content = message.get("result", {}).get("content") or [{}]
            if content[0].get("text") == text:
                return index
        return -1


@asynccontextmanager
async def transport(options: argparse.Namespace, wire: Wire) -> AsyncIterator[Any]:
    """The SDK's transport, tapped."""
    if options.http:
        headers = {"Authorization": f"Bearer {options.bearer}"} if options.bearer else None
        async with create_mcp_http_client(headers=headers) as http:
            async with streamable_http_client(options.http, http_client=http) as (read, write):
                yield Tap(read, wire), write
    else:
        command, *args = options.command
        async with stdio_client(StdioServerParameters(command=command, args=args)) as (read, write):
            yield Tap(read, wire), write


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


async def all_pages(fetch: Callable[..., Awaitable[Any]], member: str) -> list[Any]:
    items, cursor = [], None
    while True:
        page = await fetch(cursor=cursor, cache_mode="refresh")
        items += getattr(page, member)
        cursor = page.next_cursor
        if cursor is None:
            return items


class Checks:
    def __init__(self, checklist: Checklist, client: Client, wire: Wire, options: argparse.Namespace) -> None:
        self.list, self.client, self.wire, self.options = checklist, client, wire, options
        self.tools: list[Any] = []
        self.tag = str(uuid.uuid4())
        self.cancelled: dict[str, Any] = {}

    def tool(self, name: str) -> Any:
        return next((tool for tool in self.tools if tool.name == name), None)

    async def echoes(self, message: str) -> None:
        result = await self.client.call_tool("echo", {"message": message})
        same(text_of(result), f"Echo: {message}")
        holds(not result.is_error, "isError is set")

    async def lists_tools(self) -> str:
        self.tools = await all_pages(self.client.list_tools, "tools")
        names = [tool.name for tool in self.tools]
        same(names, list(dict.fromkeys(names)), "a name is listed twice")
        for name in ("echo", "get-structured-content", LONG):
            holds(name in names, f"{name} is missing in {names}")
        for tool in self.tools:
            same(tool.input_schema.get("type"), "object", f"inputSchema of {tool.name}")
        if self.options.expect_tools is not None:
            same(len(names), self.options.expect_tools, f"tools {names}")
        return f"{len(names)} tools"

    async def lists_again(self) -> None:
        again = await all_pages(self.client.list_tools, "tools")
        same([tool.name for tool in again], [tool.name for tool in self.tools])

    async def long_text(self) -> str:
        message = 'a "quoted" \\ line\r\n\tnull\0 Zürich 東京 🦀 \u2028 ' * 4000
        await self.echoes(message)
        return f"{len(message)} characters"

    async def structured(self) -> None:
        tool = self.tool("get-structured-content")
        holds(tool.output_schema, "the tool lists no outputSchema")
        result = await self.client.call_tool(tool.name, {"location": "Chicago"})
        same(result.structured_content, CHICAGO)
        same(json.loads(text_of(result)), CHICAGO)

    async def cancels(self) -> None:
        scope = anyio.CancelScope()
        started: float | None = None

        async def on_progress(*_: Any) -> None:
            nonlocal started
            started = started or time.monotonic()
            scope.cancel()

        args = {"duration": 30, "steps": 300, **({"tag": self.tag} if self.tool("count-cancelled") else {})}
        with scope:
            result = await self.client.call_tool(LONG, args, progress_callback=on_progress)
            raise Failed(f"it gave a result all the same: {text_of(result)}")
        took = time.monotonic() - (started or 0)
        holds(took < 3, f"the call ended only {took:.1f} s after the cancel")
        self.cancelled = {"token": self.wire.progress()[0]["progressToken"], "at": started}

    async def follows_progress(self, duration: float, steps: int) -> str | None:
        """Runs a long operation and checks its progress, told apart from others by its number of steps."""
        called: list[tuple[float, float | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            called.append((progress, total))

        args = {"duration": duration, "steps": steps}
        result = await self.client.call_tool(LONG, args, progress_callback=on_progress)
        text = f"Long running operation completed. Duration: {duration} seconds, Steps: {steps}."
        same(text_of(result), text)

        expected = [(step, steps) for step in range(1, steps + 1)]
        mine = [progress for progress in self.wire.progress() if progress.get("total") == steps]
        same([(progress["progress"], progress["total"]) for progress in mine], expected, "progress on the wire")
        same(len({progress["progressToken"] for progress in mine}), 1, "progress tokens of one call")
        holds(mine[-1]["index"] < self.wire.result(text), "progress came after the result")

        same(called, expected[: len(called)], "progress told to the caller")
        holds(len(called) >= steps - 1, f"the caller was told of {len(called)} steps out of {steps}")
        return None if len(called) == steps else "the SDK had not told the caller of the last step yet"

    async def two_at_once(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.follows_progress, 0.4, 4)
            group.start_soon(self.follows_progress, 0.4, 8)

    async def cancel_arrived(self) -> None:
        count = "nothing"
        with anyio.move_on_after(5):
            while count != "1":
                count = text_of(await self.client.call_tool("count-cancelled", {"tag": self.tag}))
                await anyio.sleep(0.025)
        same(count, "1", "cancels that the server counts")

    async def mirrors(self) -> None:
        for region in ("eu-west1", "Zürich 東京", " padded "):
            result = await self.client.call_tool("where", {"region": region})
            same(text_of(result), f"Region: {region}")

    async def unchanged(self) -> None:
        same((self.tool("numbers").meta or {}).get("example.test/colour"), "teal", "_meta of the tool")
        result = await self.client.call_tool("numbers", {})
        same(result.structured_content, {"big": 9007199254740991, "small": 1e-7, "none": None, "list": [0, -1]})

    async def fails(self, call: Awaitable[Any], expected: str) -> str:
        try:
            result = await call
        except MCPError as error:
            answer, message = f"error:{error.code}", error.message
        else:
            holds(getattr(result, "is_error", False), f"expected a failure, got {result!r}")
            answer, message = "result", text_of(result)
        holds(message, "the failure has no text")
        if expected != "any":
            same(answer, expected, f"answer {message!r}")
        return f"{answer}: {message.splitlines()[0][:100]}"

    async def many_at_once(self) -> None:
        async with anyio.create_task_group() as group:
            for index in range(20):
                group.start_soon(self.echoes, f"call {index}")

    async def prompts(self) -> str:
        prompts = await all_pages(self.client.list_prompts, "prompts")
        holds(prompts, "no prompts")
        prompt = prompts[0]
        args = {argument.name: "somebody" for argument in prompt.arguments or []}
        holds((await self.client.get_prompt(prompt.name, args)).messages, f"{prompt.name} has no messages")
        return f"{len(prompts)} prompts, got {prompt.name}"

    async def resources(self) -> str:
        resources = await all_pages(self.client.list_resources, "resources")
        holds(resources, "no resources")
        uri = str(resources[0].uri)
        contents = (await self.client.read_resource(uri)).contents
        same(str(contents[0].uri), uri)
        holds(getattr(contents[0], "text", None) or getattr(contents[0], "blob", None), "no contents")
        return f"{len(resources)} resources, read {uri}"

    async def quiet(self) -> str | None:
        # What was on its way when the call was cancelled may still arrive.
        token, since = self.cancelled["token"], self.cancelled["at"] + 0.25
        mine = [progress for progress in self.wire.progress() if progress["progressToken"] == token]
        late = [progress for progress in mine if progress["at"] > since]
        if self.options.after_cancel == "quiet":
            same(len(late), 0, "messages after the cancel")
        return f"it does: {len(late)} messages" if late else None

    async def ping(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, as 2026-07-28 has no ping
            await self.client.send_ping()

    async def run(self) -> None:
        check, client, options = self.list.check, self.client, self.options
        await check("lists its tools, all pages, each name once", self.lists_tools)
        await check("lists the same tools again in the same order", self.lists_again)
        await check("calls a tool", lambda: self.echoes("hello"))
        await check("carries a long text of all kinds of characters", self.long_text)
        await check("gets structured content that fits its output schema", self.structured)
        await check("cancels a call after its first progress, long before it would end", self.cancels)
        await check("calls a tool on the same connection after the cancel", lambda: self.echoes("still here"))
        await check("gets every step of progress, in order, before the result", lambda: self.follows_progress(0.5, 5))
        await check("keeps the progress of two calls at the same time apart", self.two_at_once)
        if self.tool("count-cancelled"):
            await check("the cancel reached the server that runs the tool", self.cancel_arrived)
        if self.tool("where"):
            await check("mirrors an argument into a header", self.mirrors)
        if self.tool("numbers"):
            await check("gets values and foreign _meta unchanged", self.unchanged)
        await check(
            "an unknown tool fails readably",
            lambda: self.fails(client.call_tool("no-such-tool", {}), options.unknown_tool),
        )
        await check(
            "bad arguments fail readably",
            lambda: self.fails(client.call_tool("echo", {"message": 7}), options.bad_arguments),
        )
        await check("20 calls at once come back to their callers", self.many_at_once)
        # A pinned client does not ask what the server can do, so it has to try.
        if options.era == "modern" or client.server_capabilities.prompts:
            await check("lists prompts and gets one", self.prompts)
        if options.era == "modern" or client.server_capabilities.resources:
            await check("lists resources and reads one", self.resources)
            await check(
                "an unknown resource fails readably",
                lambda: self.fails(client.read_resource("demo://no/such/resource"), "any"),
            )
        if self.cancelled:
            await check("hears nothing more of the cancelled call", self.quiet)
        if client.protocol_version != MODERN:
            await check("answers a ping", self.ping)


async def drive(checklist: Checklist, options: argparse.Namespace, wire: Wire) -> None:
    mode = MODERN if options.era == "modern" else options.era
    client = Client(transport(options, wire), mode=mode)

    async def connects() -> str:
        await client.__aenter__()
        version, info = client.protocol_version, client.server_info
        if options.expect_version:
            same(version, options.expect_version, "version")
        if options.era != "auto":
            holds((version == MODERN) == (options.era == "modern"), f"a {options.era} client was given {version}")
        return f"{version}, server {info.name} {info.version}" if info else f"{version}, server not known yet"

    async def closes() -> str | None:
        start = time.monotonic()
        await client.__aexit__(None, None, None)
        took = time.monotonic() - start
        # The SDK closes stdin, and sends SIGTERM when the process has not gone after 2 s.
        if options.stdio and options.on_close == "leaves":
            holds(took < 1.9, f"it had to be killed: it stayed {took:.1f} s after its stdin closed")
        return f"{took * 1000:.0f} ms"

    if await checklist.check("connects", connects):
        await Checks(checklist, client, wire, options).run()
        await checklist.check("closes", closes)


def main() -> None:
    options = command_line()
    checklist, wire = Checklist(), Wire()

    def bite() -> None:
        why = f"gave up: still not done when the watchdog bit after {options.watchdog:g} s"
        checklist.fail(checklist.current, why)
        checklist.finish()
        os._exit(1)

    watchdog = threading.Timer(options.watchdog, bite)
    watchdog.daemon = True
    watchdog.start()
    print(f"# mcp (Python) 2, era {options.era}, {options.http or 'stdio: ' + ' '.join(options.command)}", flush=True)
    try:
        anyio.run(drive, checklist, options, wire)
    except BaseException as error:
        traceback.print_exception(root(error), file=sys.stderr)
        checklist.fail(checklist.current, root(error))
    for notice, count in wire.noticed.items():
        print(f"# the client noticed {count}x: {notice}")
    sys.exit(checklist.finish())


if __name__ == "__main__":
    main()
