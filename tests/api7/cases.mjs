// The calls that are made with both. `differs` says why ours sends something else; what it says must be true.
import { readFileSync } from "node:fs";

const table = readFileSync(new URL("../../mcp-gw-admin-client/tests/tools/get_resource.txt", import.meta.url), "utf8");

// `tokenOnly`: nothing else may differ.
const reasons = {
  typed: "a secret provider is addressed with its kind, as the dashboard's API wants it",
  optional: "the original cannot do without an argument that the request does not need",
  injection: "ours refuses, or encodes, what would lead to another resource",
  token: "the dashboard's token does not go to the gateway",
  paths: "ours refuses a path that would lead to another host or up",
  repeat: "the number of requests of one call is bounded",
  conditions: "the original loses conditions of a policy",
  user: "the original asks for a user called undefined",
};

// Of a few lines of the table the original is known to make something else.
function known(kind, args) {
  if (kind === "secretProvider" && args.secret_provider_id) return reasons.typed;
  if (kind === "route" && args.route_id && !args.service_id) return reasons.optional;
  if (kind === "pluginMetadata" && !args.plugin_name) return reasons.optional;
  if (kind === "customPlugin" && !args.gateway_group_id) return reasons.optional;
  return undefined;
}

const reads = table
  .trim()
  .split("\n")
  .map((line) => {
    const [kind, args] = [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1, line.lastIndexOf(" "))];
    const parsed = JSON.parse(args);
    return { tool: "get_resource", args: { [kind]: parsed }, differs: known(kind, parsed) };
  });

const label = (key) => ({ type: "MatchLabel", options: { key, operator: "exact_match", value: "x" } });
const policy = (conditions) => ({
  name: "p",
  policy_document: {
    statement: [{ effect: "allow", resources: ["arn:api7:iam:role/*"], actions: ["iam:GetRole"], ...conditions }],
  },
});
const wrapped = (permissionPolicy) => ({ permissionPolicy, alreadyReadPermissionPolicyConfig: true });
const send = (...requests) => ({ requests });
const group = "g";

export const program = {
  package: "api7-mcp",
  flags: ["--allow-write"],
  env: (dashboard, gateway) => ({ DASHBOARD_URL: dashboard, GATEWAY_URL: gateway, TOKEN: "a7ee-compare" }),
};

export const cases = [
  ...reads,
  { tool: "get_resource", args: { gatewayGroup: {}, serviceTemplate: { page: 2 } } },
  { tool: "get_resource", args: {} },
  { tool: "get_resource", args: { consumer: { gateway_group_id: group, username: "../routes" } }, differs: reasons.injection },
  { tool: "get_resource", args: { consumer: { gateway_group_id: group, username: "x?page=2" } }, differs: reasons.injection },
  { tool: "get_resource", args: { gatewayGroup: { gateway_group_id: ".." } }, differs: reasons.injection },
  { tool: "get_service_healthcheck", args: { gateway_group_id: group, service_template_id: "t" } },
  { tool: "get_role", args: { id: "r", search: "x" } },
  { tool: "get_role", args: { search: "a&b" } },
  { tool: "get_role", args: {} },
  { tool: "create_role", args: { role: { name: "n", desc: "d", labels: { a: "b" }, policies: ["p"] } } },
  { tool: "delete_role", args: { id: "r" } },
  { tool: "delete_role", args: { id: ".." }, differs: reasons.injection },
  { tool: "update_assigned_roles_for_user", args: { user_id: "u", roles: ["a", "b"] } },
  { tool: "update_assigned_roles_for_user", args: { user_id: "u", roles: [] } },
  { tool: "get_role_by_user_id", args: { id: "u" } },
  { tool: "get_role_by_user_id", args: {}, differs: reasons.user },
  { tool: "get_userId_by_username", args: { username: "jack" } },
  { tool: "get_userId_by_username", args: {} },
  { tool: "get_permission_policy", args: { id: "p" } },
  { tool: "get_permission_policy", args: { search: "x" } },
  { tool: "get_permission_policy_by_role", args: { id: "r" } },
  { tool: "create_permission_policy", args: wrapped(policy({})) },
  { tool: "create_permission_policy", args: wrapped({ ...policy({}), type: "built_in", desc: "d", labels: { a: "b" } }) },
  { tool: "create_permission_policy", args: wrapped(policy({ conditions: { service_label: label("a") } })) },
  {
    tool: "create_permission_policy",
    args: wrapped(policy({ conditions: { gateway_group_label: label("a"), service_label: label("b") } })),
    differs: reasons.conditions,
  },
  { tool: "create_permission_policy", args: { ...wrapped(policy({})), alreadyReadPermissionPolicyConfig: false } },
  { tool: "update_permission_policy", args: { id: "p", ...wrapped(policy({})) } },
  { tool: "delete_permission_policy", args: { id: "p" } },
  { tool: "attach_permission_policy_to_role", args: { id: "r", permissionPolicyId: ["p", "q"] } },
  { tool: "detach_permission_policy_from_role", args: { id: "r", permissionPolicyId: ["p"] } },
  // Every request to the gateway differs: the original sends the dashboard's token with it.
  { tool: "send_request_to_gateway", args: send({ path: "/get?x=1", method: "get" }), differs: reasons.token, tokenOnly: true },
  {
    tool: "send_request_to_gateway",
    args: send({ path: "/p", method: "POST", data: { n: 1 } }),
    differs: reasons.token,
    tokenOnly: true,
  },
  {
    tool: "send_request_to_gateway",
    args: send({ path: "/own", method: "GET", headers: { "X-API-KEY": "of-a-consumer" }, repeatCount: 3 }),
  },
  {
    tool: "send_request_to_gateway",
    args: send({
      path: "/text",
      method: "PUT",
      data: "as it is",
      headers: { "X-API-KEY": "k", "Content-Type": "text/plain" },
    }),
  },
  {
    tool: "send_request_to_gateway",
    args: send({ path: "/../up", method: "GET", headers: { "X-API-KEY": "k" } }),
    differs: reasons.paths,
  },
  {
    tool: "send_request_to_gateway",
    args: send({ path: "/many", method: "GET", headers: { "X-API-KEY": "k" }, repeatCount: 301 }),
    differs: reasons.repeat,
  },
];
