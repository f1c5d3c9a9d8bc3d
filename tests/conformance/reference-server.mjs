#!/usr/bin/env node
// An MCP server with every fixture that the conformance suite asks for, in the revisions 2025-03-26 to 2026-07-28.
//
//   node reference-server.mjs [--port PORT] [--log]    on loopback; prints "listening on http://127.0.0.1:PORT/mcp"
//   node reference-server.mjs --stdio [--log]          on standard input and output
//
// Without --port it takes a free one. --era legacy or --era modern makes a server of revisions with, or without, a
// handshake only. --log writes each message that comes in to stderr. Plain Node, no packages:
//
//   server/wire.mjs      names, codes and envelopes        server/http.mjs, stdio.mjs   the two transports
//   server/fixtures.mjs  tools, prompts and resources      server/headers.mjs           headers that repeat the body
//   server/context.mjs   what a fixture may do             server/streams.mjs           event streams
//   server/methods.mjs   what each method does             server/session.mjs           sessions of old revisions
//   server/world.mjs     what all connections share        server/tasks.mjs, sealed.mjs tasks, and requestState

import { parseArgs } from 'node:util';
import { HttpServer } from './server/http.mjs';
import { StdioServer } from './server/stdio.mjs';
import { World } from './server/world.mjs';

const { values: options } = parseArgs({
    options: {
        stdio: { type: 'boolean', default: false },
        port: { type: 'string', default: '0' },
        era: { type: 'string', default: 'both' },
        log: { type: 'boolean', default: false }
    }
});

const log = options.log
    ? (...parts) => console.error(...parts.map(part => (typeof part === 'string' ? part : JSON.stringify(part))))
    : () => {};

if (!['both', 'legacy', 'modern'].includes(options.era)) throw new Error(`there is no era ${options.era}`);
const server = new (options.stdio ? StdioServer : HttpServer)(new World(options.era), log);
for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
        await server.close();
        process.exit(0);
    });
}
if (options.stdio) {
    await server.serve();
    process.exit(0);
} else {
    // On stderr, as our other servers say it.
    console.error(`listening on ${await server.listen(Number(options.port))}`);
}
