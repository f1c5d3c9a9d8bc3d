// The calls that are made with both. `differs` says why ours sends something else; what it says must be true.
import { readFileSync } from "node:fs";

export const program = {
  package: "apisix-mcp",
  flags: ["--apisix", "--allow-write"],
  env: (admin, gateway) => ({
    APISIX_SERVER_HOST: "http://127.0.0.1",
    APISIX_SERVER_PORT: new URL(gateway).port,
    APISIX_ADMIN_API_PORT: new URL(admin).port,
    APISIX_ADMIN_KEY: "compare-key",
  }),
};

const table = readFileSync(new URL("./cases.jsonl", import.meta.url), "utf8");
const shared = table
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line))
  .map(({ tool, arguments: args, differs }) => ({ tool, args, differs }));

const send = (...requests) => ({ tool: "send_request_to_gateway", args: { requests } });

export const cases = [
  ...shared,
  {
    tool: "update_global_rule",
    args: { id: "r", plugins: { cors: {} } },
    differs: "ours holds the settings of plugins against their schemas first",
  },
  {
    tool: "create_route",
    args: { route: { uri: "/x", priority: 1, upstream_id: "u", plugins: { cors: {} } } },
    differs: "ours holds the settings of plugins against their schemas first",
  },
  {
    tool: "create_route",
    args: { route: { uri: "/x", priority: 1, upstream_id: "u", plugins: { cors: {} } }, validate: false },
  },
  send({ path: "/get?x=1", method: "GET", headers: { "X-API-KEY": "of-a-consumer" }, repeatCount: 3 }),
  send({ path: "/json", method: "POST", data: { n: 1 } }, { path: "/none", method: "DELETE" }),
  send({ path: "/text", method: "PUT", data: "as it is", headers: { "Content-Type": "text/plain" } }),
  {
    ...send({ path: "/a/../up", method: "GET" }),
    differs: "ours refuses a path that would lead to another host or up",
  },
  {
    ...send({ path: "/many", method: "GET", repeatCount: 301 }),
    differs: "the number of requests of one call is bounded",
  },
];
