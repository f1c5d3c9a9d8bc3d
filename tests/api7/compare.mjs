// Makes the same calls with another program and with our tools, against a server that records, and compares the requests.
//
//   node compare.mjs PATH-OF-OURS
//
// A difference must be known in cases.mjs with its reason, and a known one must be there.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { cases, program } from "./cases.mjs";

const ANSWER = JSON.stringify({ value: { id: "new", roles: [] }, list: [], total: 0 });

// Answers everything, and keeps what identifies a request.
async function recorder(name, seen) {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      seen.push(entry(name, request, Buffer.concat(chunks).toString()));
      response.setHeader("content-type", "application/json");
      response.end(ANSWER);
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

function entry(server, request, text) {
  const url = new URL(request.url, "http://x");
  const plain = (request.headers["content-type"] ?? "").startsWith("text/");
  return {
    server,
    method: request.method,
    path: decodeURIComponent(url.pathname),
    query: [...url.searchParams].sort().map((pair) => pair.join("=")),
    body: text === "" ? null : plain ? text : JSON.parse(text),
    // The original names a type also where there is no body, depending on the version of its HTTP client.
    type: text === "" ? null : (request.headers["content-type"]?.split(";")[0] ?? null),
    key: request.headers["x-api-key"] ?? null,
    authorization: request.headers.authorization ?? null,
  };
}

const sorted = (seen) => [...seen].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

async function original(env) {
  const script = new URL(`./node_modules/${program.package}/dist/index.js`, import.meta.url).pathname;
  const transport = new StdioClientTransport({ command: process.execPath, args: [script], env, stderr: "ignore" });
  const client = new Client({ name: "compare", version: "0" });
  await client.connect(transport);
  return {
    call: (tool, args) => client.callTool({ name: tool, arguments: args }).catch((error) => ({ error: String(error) })),
    names: async () => (await client.listTools()).tools.map((tool) => tool.name),
    close: () => client.close(),
  };
}

function ours(path, env) {
  const child = spawn(path, program.flags, { env, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async call(tool, args) {
      child.stdin.write(`${JSON.stringify({ tool, arguments: args })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error("our program ended");
      return JSON.parse(value);
    },
    close: () => child.stdin.end(),
  };
}

const seen = [];
const dashboard = await recorder("admin", seen);
const gateway = await recorder("gateway", seen);
const env = { PATH: process.env.PATH, ...program.env(dashboard.url, gateway.url) };
const theirs = await original(env);
const mine = ours(process.argv[2], env);

let [equal, known, failed] = [0, 0, 0];
for (const { tool, args, differs, tokenOnly } of cases) {
  const run = async (side) => {
    seen.length = 0;
    const result = await side.call(tool, args);
    return { requests: sorted(seen), result };
  };
  const [a, b] = [await run(theirs), await run(mine)];
  const same = isDeepStrictEqual(a.requests, b.requests);
  const keyless = ({ requests }) => requests.map((request) => ({ ...request, key: null }));
  const odd = tokenOnly && !isDeepStrictEqual(keyless(a), b.requests);
  const what = `${tool} ${JSON.stringify(args)}`.slice(0, 150);
  if (same && !differs) {
    equal += 1;
  } else if (!same && differs && !odd) {
    known += 1;
    console.log(`differs  ${what}\n         ${differs}`);
  } else {
    failed += 1;
    const why = same ? "is said to differ, and does not" : "differs, and nobody says why, or in more than is said";
    const show = ({ requests, result }) => `${JSON.stringify(requests)}\n           ${JSON.stringify(result).slice(0, 300)}`;
    console.log(`FAIL     ${what}\n         ${why}\n  theirs ${show(a)}\n  ours   ${show(b)}`);
  }
}

// What only the original has.
const names = await theirs.names();
const left = [];
for (const name of names) {
  const result = await mine.call(name, { "not an argument": true });
  if (typeof result === "string") left.push(name);
}
console.log(`not here yet: ${left.join(", ") || "nothing"}`);

mine.close();
await theirs.close();
dashboard.server.close();
gateway.server.close();
console.log(`${equal} equal, ${known} differ for a reason, ${failed} failed`);
process.exitCode = failed > 0 || equal === 0 ? 1 : 0;
