// Drives an MCP server with @modelcontextprotocol/sdk 1.x, which knows only the handshake era. See checks.mjs for the
// options.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, McpError } from '@modelcontextprotocol/sdk/types.js';
import { eachLine, main, tap } from './checks.mjs';

/** All items of a list whose pages `fetch` gets by cursor. */
async function allPages(fetch, member) {
    const items = [];
    let cursor;
    do {
        const page = await fetch(cursor === undefined ? undefined : { cursor });
        items.push(...page[member]);
        cursor = page.nextCursor;
    } while (cursor !== undefined);
    return items;
}

async function connect({ http, command, args, bearer, person, onStderr, onNotice }) {
    const capabilities = person === undefined ? {} : { elicitation: { form: {} } };
    const client = new Client({ name: 'drive-sdk1', version: '1.0.0' }, { capabilities });
    if (person !== undefined) client.setRequestHandler(ElicitRequestSchema, ({ params }) => person.asks(params));
    client.onerror = error => onNotice(error.message);
    let transport;
    let version;
    if (http === undefined) {
        transport = new StdioClientTransport({ command, args, stderr: 'pipe' });
        eachLine(transport.stderr, onStderr);
        // The client tells only the transport which version was agreed on, and only if it wants to know.
        transport.setProtocolVersion = agreed => (version = agreed);
    } else {
        const headers = bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
        transport = new StreamableHTTPClientTransport(new URL(http), { requestInit: { headers } });
    }
    await client.connect(transport);

    return {
        version: () => version ?? transport.protocolVersion,
        info: () => client.getServerVersion(),
        capabilities: () => client.getServerCapabilities(),
        listTools: () => allPages(params => client.listTools(params), 'tools'),
        callTool: (params, options) => client.callTool(params, undefined, options),
        listPrompts: () => allPages(params => client.listPrompts(params), 'prompts'),
        getPrompt: params => client.getPrompt(params),
        listResources: () => allPages(params => client.listResources(params), 'resources'),
        readResource: params => client.readResource(params),
        ping: () => client.ping(),
        rpcCode: error => (error instanceof McpError ? error.code : undefined),
        onWire: callback => tap(transport, callback),
        endSession: async () => {
            if (transport.sessionId === undefined) return 'there was none';
            await transport.terminateSession();
        },
        close: () => client.close(),
        pid: () => transport.pid ?? undefined
    };
}

await main({ name: '@modelcontextprotocol/sdk 1', eras: ['legacy'], connect });
