// The headers in which requests over HTTP repeat what their body says.

import { CODE, RpcError } from './wire.mjs';

const SENTINEL = /^=\?base64\?(.*)\?=$/s;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The member of `params` that `Mcp-Name` repeats. */
const NAMED = {
    'tools/call': 'name',
    'prompts/get': 'name',
    'resources/read': 'uri',
    'tasks/get': 'taskId',
    'tasks/update': 'taskId',
    'tasks/cancel': 'taskId'
};

const mismatch = message => new RpcError(CODE.headerMismatch, `Header mismatch: ${message}`);

/** The value that a header stands for. */
function decode(header, value) {
    const wrapped = SENTINEL.exec(value)?.[1];
    if (wrapped === undefined) return value;
    if (!BASE64.test(wrapped)) throw mismatch(`${header} is no valid Base64`);
    return Buffer.from(wrapped, 'base64').toString('utf8');
}

function compare(headers, header, expected) {
    const value = headers[header.toLowerCase()];
    if (value === undefined) throw mismatch(`${header} is missing`);
    const given = decode(header, value.trim());
    const numeric = typeof expected === 'number' && given !== '';
    const equal = numeric ? Number(given) === expected : given === String(expected);
    if (!equal) throw mismatch(`${header} is not what the body says`);
}

/** Throws unless the headers of a modern request are those that its body asks for. */
export function checkHeaders(headers, { method, params }, meta, world) {
    compare(headers, 'MCP-Protocol-Version', meta.version);
    compare(headers, 'Mcp-Method', method);
    const member = NAMED[method];
    if (typeof params[member] === 'string') compare(headers, 'Mcp-Name', params[member]);
    if (method !== 'tools/call') return;
    const properties = world.tools.get(params.name)?.inputSchema?.properties ?? {};
    for (const [name, schema] of Object.entries(properties)) {
        const token = schema['x-mcp-header'];
        if (token === undefined) continue;
        const header = `Mcp-Param-${token}`;
        const value = params.arguments?.[name] ?? undefined;
        if (value !== undefined) compare(headers, header, value);
        else if (headers[header.toLowerCase()] !== undefined) throw mismatch(`${header} repeats no argument`);
    }
}
