// An MCP server that speaks 2026-07-28 and nothing older, for tests.
//
//   node modern-server.mjs stdio
//   node modern-server.mjs http [PORT]     prints "listening on http://127.0.0.1:PORT/mcp" on stderr
//
// It has the tools of server-everything that the checks use, under the same names and with the same answers, so that
// one list of checks fits both. It differs where a gateway must not care: tools/list has several pages, and bad
// arguments are a JSON-RPC error and not a result. Three tools exist only here:
//
//   count-cancelled   how many long-running operations with this tag were cancelled: shows that a cancel arrived
//   where             a tool with an argument that clients must repeat in an Mcp-Param header
//   numbers           values, and `_meta` on a tool, that a careless hop would rewrite or lose

import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const PAGE = 2;
const WEATHER = {
    'New York': { temperature: 33, conditions: 'Cloudy', humidity: 82 },
    Chicago: { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 },
    'Los Angeles': { temperature: 73, conditions: 'Sunny / Clear', humidity: 48 }
};

/** Cancelled operations by tag. Lives as long as the process: over HTTP each request has its own Server. */
const cancelled = new Map();

const object = (properties, required = []) => ({ type: 'object', properties, required, additionalProperties: false });
const text = (value, more = {}) => ({ content: [{ type: 'text', text: value }], ...more });
const badArguments = message => new ProtocolError(ProtocolErrorCode.InvalidParams, message);

const TOOLS = [
    {
        name: 'echo',
        description: 'Echoes back the input string',
        inputSchema: object({ message: { type: 'string' } }, ['message']),
        annotations: { readOnlyHint: true },
        call: ({ message }) => text(`Echo: ${message}`)
    },
    {
        name: 'get-structured-content',
        description: 'Returns structured content along with an output schema',
        inputSchema: object({ location: { type: 'string', enum: Object.keys(WEATHER) } }, ['location']),
        outputSchema: object(
            { temperature: { type: 'number' }, conditions: { type: 'string' }, humidity: { type: 'number' } },
            ['temperature', 'conditions', 'humidity']
        ),
        annotations: { readOnlyHint: true },
        call: ({ location }) => {
            const weather = WEATHER[location];
            if (weather === undefined) throw badArguments(`location: no such city: ${location}`);
            return text(JSON.stringify(weather), { structuredContent: weather });
        }
    },
    {
        name: 'trigger-long-running-operation',
        description: 'Runs for `duration` seconds and reports progress after each of its `steps`',
        inputSchema: object({ duration: { type: 'number' }, steps: { type: 'number' }, tag: { type: 'string' } }),
        call: async ({ duration = 10, steps = 5, tag }, ctx) => {
            const progressToken = ctx.mcpReq._meta?.progressToken;
            try {
                for (let progress = 1; progress <= steps; progress += 1) {
                    await sleep((duration / steps) * 1000, undefined, { signal: ctx.mcpReq.signal });
                    if (progressToken !== undefined) {
                        const params = { progressToken, progress, total: steps };
                        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
                    }
                }
            } catch (error) {
                if (ctx.mcpReq.signal.aborted) cancelled.set(tag, (cancelled.get(tag) ?? 0) + 1);
                throw error;
            }
            return text(`Long running operation completed. Duration: ${duration} seconds, Steps: ${steps}.`);
        }
    },
    {
        name: 'count-cancelled',
        description: 'How many long-running operations with this tag were cancelled',
        inputSchema: object({ tag: { type: 'string' } }, ['tag']),
        annotations: { readOnlyHint: true },
        call: ({ tag }) => text(String(cancelled.get(tag) ?? 0))
    },
    {
        name: 'where',
        description: 'Echoes a region that also travels in a header',
        inputSchema: object({ region: { type: 'string', 'x-mcp-header': 'Region' } }, ['region']),
        annotations: { readOnlyHint: true },
        call: ({ region }, ctx) => {
            checkHeader(ctx.http?.req, 'Mcp-Param-Region', region);
            return text(`Region: ${region}`);
        }
    },
    {
        name: 'numbers',
        description: 'Values that must come through a gateway unchanged',
        inputSchema: object({}),
        annotations: { readOnlyHint: true },
        _meta: { 'example.test/colour': 'teal' },
        call: () => {
            const structuredContent = { big: 9007199254740991, small: 1e-7, none: null, list: [0, -1] };
            return text('numbers', { structuredContent });
        }
    }
];

const PROMPT = { name: 'greeting', description: 'Greets somebody', arguments: [{ name: 'who', required: true }] };
const RESOURCE = { name: 'note', uri: 'demo://note', mimeType: 'text/plain' };

/** Checks arguments as far as the schemas of TOOLS need it: required ones, no others, and their types. */
function checkArguments({ inputSchema: { properties, required } }, args) {
    for (const name of required) if (!(name in args)) throw badArguments(`${name}: required`);
    for (const [name, value] of Object.entries(args)) {
        if (!(name in properties)) throw badArguments(`${name}: unknown`);
        if (typeof value !== properties[name].type) throw badArguments(`${name}: must be a ${properties[name].type}`);
    }
}

/** Over HTTP, an argument with `x-mcp-header` must be there as a header too, with the same value. */
function checkHeader(request, name, value) {
    if (request === undefined) return;
    const sent = request.headers.get(name);
    const base64 = /^=\?base64\?(.*)\?=$/.exec(sent ?? '');
    const decoded = base64 ? Buffer.from(base64[1], 'base64').toString('utf8') : sent;
    if (decoded === value) return;
    throw new ProtocolError(-32020, `${name} is ${JSON.stringify(sent)}, the argument ${JSON.stringify(value)}`);
}

function build() {
    const server = new Server(
        { name: 'modern-server', version: '1.0.0' },
        { capabilities: { tools: {}, prompts: {}, resources: {} }, instructions: 'Speaks 2026-07-28 only.' }
    );
    server.setRequestHandler('tools/list', ({ params }) => {
        const from = Number(params?.cursor ?? 0);
        if (!Number.isInteger(from) || from < 0 || from >= TOOLS.length) throw badArguments('cursor: not one of mine');
        const tools = TOOLS.slice(from, from + PAGE).map(({ call, ...tool }) => tool);
        return from + PAGE < TOOLS.length ? { tools, nextCursor: String(from + PAGE) } : { tools };
    });
    server.setRequestHandler('tools/call', ({ params: { name, arguments: args = {} } }, ctx) => {
        const tool = TOOLS.find(tool => tool.name === name);
        if (tool === undefined) throw badArguments(`no such tool: ${name}`);
        checkArguments(tool, args);
        return tool.call(args, ctx);
    });
    server.setRequestHandler('prompts/list', () => ({ prompts: [PROMPT] }));
    server.setRequestHandler('prompts/get', ({ params }) => {
        if (params.name !== PROMPT.name) throw badArguments(`no such prompt: ${params.name}`);
        const content = { type: 'text', text: `Say hello to ${params.arguments?.who}.` };
        return { messages: [{ role: 'user', content }] };
    });
    server.setRequestHandler('resources/list', () => ({ resources: [RESOURCE] }));
    server.setRequestHandler('resources/read', ({ params: { uri } }) => {
        if (uri !== RESOURCE.uri) throw badArguments(`no such resource: ${uri}`);
        return { contents: [{ uri, mimeType: RESOURCE.mimeType, text: 'A note.' }] };
    });
    return server;
}

const onerror = error => console.error(`modern-server: ${error.message}`);
const [mode, port = '0'] = process.argv.slice(2);
if (mode === 'stdio') {
    serveStdio(build, { legacy: 'reject', onerror });
} else if (mode === 'http') {
    const handler = toNodeHandler(createMcpHandler(build, { legacy: 'reject', onerror }), { onerror });
    const server = createServer((req, res) => {
        if (new URL(req.url, 'http://localhost').pathname === '/mcp') return handler(req, res);
        res.writeHead(404).end();
    });
    server.listen(Number(port), '127.0.0.1', () => {
        console.error(`listening on http://127.0.0.1:${server.address().port}/mcp`);
    });
    process.once('SIGTERM', () => {
        server.close();
        server.closeAllConnections();
    });
} else {
    console.error('usage: modern-server.mjs stdio | http [PORT]');
    process.exit(2);
}
