// Drives an MCP server with @modelcontextprotocol/client 2.x. See checks.mjs for the options.

import { Client, ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { eachLine, main, MODERN, tap } from './checks.mjs';

const NEGOTIATION = { legacy: 'legacy', auto: 'auto', modern: { pin: MODERN } };

async function connect({ era, http, command, args, bearer, person, onStderr, onNotice }) {
    const versionNegotiation = { mode: NEGOTIATION[era] };
    const capabilities = person === undefined ? {} : { elicitation: { form: {} } };
    const client = new Client({ name: 'drive-client2', version: '1.0.0' }, { versionNegotiation, capabilities });
    if (person !== undefined) client.setRequestHandler('elicitation/create', ({ params }) => person.asks(params));
    client.onerror = error => onNotice(error.message);
    let transport;
    if (http === undefined) {
        transport = new StdioClientTransport({ command, args, stderr: 'pipe' });
        eachLine(transport.stderr, onStderr);
    } else {
        const headers = bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
        transport = new StreamableHTTPClientTransport(new URL(http), { requestInit: { headers } });
    }
    await client.connect(transport);

    return {
        version: () => client.getNegotiatedProtocolVersion(),
        info: () => client.getServerVersion(),
        capabilities: () => client.getServerCapabilities(),
        // Without a cursor the client walks the pages itself; `refresh` keeps its cache out of the way.
        listTools: async () => (await client.listTools(undefined, { cacheMode: 'refresh' })).tools,
        callTool: (params, options) => client.callTool(params, options),
        listPrompts: async () => (await client.listPrompts()).prompts,
        getPrompt: params => client.getPrompt(params),
        listResources: async () => (await client.listResources()).resources,
        readResource: params => client.readResource(params),
        ping: () => client.ping(),
        rpcCode: error => (error instanceof ProtocolError ? error.code : undefined),
        onWire: callback => tap(transport, callback),
        endSession: async () => {
            if (transport.sessionId === undefined) return 'there was none';
            await transport.terminateSession();
        },
        close: () => client.close(),
        pid: () => transport.pid ?? undefined
    };
}

await main({ name: '@modelcontextprotocol/client 2', eras: ['legacy', 'auto', 'modern'], connect });
