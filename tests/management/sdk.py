"""The client of MCP Platform's own SDK: everything that it can ask, with an API key and with a token."""

import asyncio
import logging
import os
import sys

from common import URL, ask, check, end, expect, login

logging.disable(logging.CRITICAL)

from mcp_platform.client import MCPClient  # noqa: E402
from mcp_platform.gateway import client as sdk  # noqa: E402

UPSTREAM = os.environ["UPSTREAM"]
SERVER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py"), "stdio", "sdk-local"]
NAMES = {"echo", "read_file", "fail", "broken", "slow", "who"}


def prepare():
    """Servers by the paths that belong to the SDK, a user and a key."""
    admin = login()
    for template, more in (
        ("sdk-http", {"endpoint": UPSTREAM}),
        ("sdk-local", {"transport": "stdio", "command": SERVER, "backend": "local"}),
    ):
        body = {"id": f"{template}-1", "template_name": "the path says it", **more}
        path = f"/gateway/templates/{template}/instances"
        for what in ("made", "put again"):
            said = ask("POST", path, body, admin)
            expect(f"{template} {what}", said, 200, lambda it: it["template_name"] == template and it["status"] == "healthy")
    expect("sync", ask("POST", "/gateway/registry/sync", b"", admin), 200, lambda it: it["message"])
    ask("POST", "/auth/users", {"username": "sdk", "password": "password123"}, admin)
    order = {"name": "sdk", "permissions": ["gateway:read", "tools:call"]}
    key = expect("key", ask("POST", "/auth/api-keys", order, admin), 201).json["key"]
    return admin, {"key": key, "token": login("sdk", "password123"), "admin": admin}


async def raises(what, asked, status):
    try:
        said = await asked
    except sdk.GatewayClientError as error:
        check(f"{what}: {status}", f"status {status}" in str(error), error)
    else:
        check(f"{what}: {status}", False, said)


async def all_methods(client, who):
    is_well = lambda it: it["status"] == it["database"] == "healthy" and it["instances"]["total"] >= 2
    said = await client.health_check()
    check(f"{who}: health_check", is_well(said) and isinstance(said["uptime"], float), said)
    said = await client.get_registry()
    check(f"{who}: get_registry", said["templates"]["sdk-http"]["healthy_instances"] == 1, said)
    check(f"{who}: list_templates", {"sdk-http", "sdk-local"} <= set(await client.list_templates()))
    for template in ("sdk-http", "sdk-local"):
        said = await client.get_template_health(template)
        good = (said.status, said.healthy_instances, said.total_instances) == ("healthy", 1, 1)
        check(f"{who}: get_template_health", good and said.instances[0]["id"] == f"{template}-1", said)
        tools = await client.list_tools(template)
        check(f"{who}: list_tools", {tool["name"] for tool in tools} == NAMES, tools)
        said = await client.call_tool(template, "echo", {"a": "\u00e9\n", "n": 12345678901234567})
        good = "12345678901234567" in said.content[0]["text"] and not said.isError
        check(f"{who}: call_tool", good, said)
        said = await client.call_tool(template, "fail")
        check(f"{who}: a tool that fails", said.isError and said.content[0]["text"] == "it failed", said)
        said = await client.call_tool(template, "nothing")
        check(f"{who}: a tool that is not there", said.isError and said.content, said)
        said = await client.list_resources(template)
        check(f"{who}: list_resources", [one["uri"] for one in said] == ["test://one"], said)
        said = await client.read_resource(template, "test://one")
        check(f"{who}: read_resource", said["contents"][0]["text"] == "what is in it", said)
        said = await client.list_prompts(template)
        check(f"{who}: list_prompts", [one["name"] for one in said] == ["greet"], said)
        said = await client.get_prompt(template, "greet", {"who": "you"})
        check(f"{who}: get_prompt", said["messages"][0]["content"]["text"] == "Hello you", said)
    said = await client.get_stats()
    good = said.total_requests >= 4 and said.load_balancer["requests_per_instance"]["sdk-http-1"] >= 2
    check(f"{who}: get_stats", good and said.health_checker["running"] is True, said)
    calls = [{"template_name": f"sdk-{kind}", "tool_name": "echo", "arguments": {"n": n}} for n in range(10) for kind in ("http", "local")]
    calls.append({"template_name": "nothing", "tool_name": "echo"})
    said = await client.call_tools_batch(calls)
    good = [one.isError for one in said] == [False] * 20 + [True]
    check(f"{who}: call_tools_batch", good and '{"n": 9}' in said[18].content[0]["text"], said)
    await raises(f"{who}: an error of the server", client.call_tool("sdk-http", "broken"), 502)
    await raises(f"{who}: no such template", client.call_tool("nothing", "echo"), 404)
    await raises(f"{who}: health of no template", client.get_template_health("nothing"), 404)


async def others(token):
    """The same by other classes."""
    made = await sdk.create_gateway_client(URL, token)
    async with made as client:
        check("create_gateway_client", (await client.health_check())["status"] == "healthy")
    said = await sdk.call_tool_simple("sdk-http", "who", {}, URL, token)
    check("call_tool_simple", not said.isError, said)
    client = MCPClient(backend_type="mock", gateway_url=URL, api_key=token)
    said = await client.get_gateway_health()
    check("MCPClient.get_gateway_health", said["status"] == "healthy", said)
    check("MCPClient.get_gateway_stats", (await client.get_gateway_stats()).total_requests > 0)
    said = await client.list_tools_via_gateway("sdk-http")
    check("MCPClient.list_tools_via_gateway", {tool["name"] for tool in said} == NAMES, said)
    said = await client.call_tool_via_gateway("sdk-http", "echo", {"x": 1})
    check("MCPClient.call_tool_via_gateway", '{"x": 1}' in said.content[0]["text"], said)
    await client._get_gateway_client().close()
    # It shows no credentials, whatever it is given.
    connection = sdk.MCPGatewayConnection("sdk-http", URL, token)
    check("MCPGatewayConnection is not let in", await connection.connect() is False)


async def main():
    admin, credentials = prepare()
    for who, credential in credentials.items():
        async with sdk.GatewayClient(URL, credential) as client:
            await all_methods(client, who)
    for wrong in ("mcp_" + "a" * 70, "mcp_", "x.y.z"):
        async with sdk.GatewayClient(URL, wrong) as client:
            await raises(f"with {wrong:.9}", client.list_tools("sdk-http"), 401)
            await raises(f"with {wrong:.9}", client.get_stats(), 401)
    async with sdk.GatewayClient(URL) as client:
        check("without credentials: health_check", (await client.health_check())["status"] == "healthy")
        await raises("without credentials", client.call_tool("sdk-http", "echo"), 401)
    await others(credentials["key"])
    for template in ("sdk-http", "sdk-local"):
        path = f"/gateway/templates/{template}/instances/{template}-1"
        expect("removed", ask("DELETE", path, token=admin), 200, lambda it: it["message"])
        expect("removed again", ask("DELETE", path, token=admin), 404)
    async with sdk.GatewayClient(URL, admin) as client:
        await raises("a template without instances", client.call_tool("sdk-http", "echo"), 503)


asyncio.run(main())
end()
