// What both transports and both eras share: names, versions, errors and JSON-RPC envelopes.

export const K = 'io.modelcontextprotocol/';
export const TASKS = `${K}tasks`;
export const MODERN = '2026-07-28';
export const LEGACY = ['2025-03-26', '2025-06-18', '2025-11-25']; // oldest first
export const SERVER_INFO = { name: 'mcp-gw-conformance-reference', version: '1.0.0' };

export const CODE = {
    parse: -32700,
    invalidRequest: -32600,
    methodNotFound: -32601,
    invalidParams: -32602,
    internal: -32603,
    legacyNotFound: -32002,
    headerMismatch: -32020,
    missingCapability: -32021,
    unsupportedVersion: -32022
};

/** Codes that a modern server answers with HTTP 400; every other error of a handler comes with 200. */
const BAD_REQUEST = new Set([CODE.headerMismatch, CODE.missingCapability, CODE.unsupportedVersion]);

/** A JSON-RPC error; `status` is the HTTP status that it comes with. */
export class RpcError extends Error {
    constructor(code, message, data, status = BAD_REQUEST.has(code) ? 400 : 200) {
        super(message);
        Object.assign(this, { code, data, status });
    }

    static of(error) {
        return error instanceof RpcError ? error : new RpcError(CODE.internal, `Internal error: ${error.message}`);
    }

    toJSON() {
        const { code, message, data } = this;
        return data === undefined ? { code, message } : { code, message, data };
    }
}

/** The answer to a modern request that needs something of the client first. */
export class InputRequired extends Error {
    constructor(inputRequests, requestState) {
        super('input required');
        this.result = { resultType: 'input_required', inputRequests };
        if (requestState !== undefined) this.result.requestState = requestState;
    }
}

export const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isId = value => typeof value === 'string' || Number.isSafeInteger(value);
export const isRequest = message => isObject(message) && typeof message.method === 'string' && 'id' in message;
export const isResponse = message => isObject(message) && ('result' in message || 'error' in message);

export const resultOf = (id, result) => ({ jsonrpc: '2.0', id, result });
export const notification = (method, params) => ({ jsonrpc: '2.0', method, params });

/** Errors that answer no request have no id. */
export function errorOf(id, error) {
    const body = { jsonrpc: '2.0', error: RpcError.of(error).toJSON() };
    return isId(id) ? { ...body, id } : body;
}

export const invalidParams = (message, data) => new RpcError(CODE.invalidParams, message, data);

/** Throws unless the message is a request, notification or response of JSON-RPC 2.0 with an id that MCP allows. */
export function checkEnvelope(message) {
    const bad = why => new RpcError(CODE.invalidRequest, `Invalid request: ${why}`, undefined, 400);
    if (!isObject(message) || message.jsonrpc !== '2.0') throw bad('not a JSON-RPC 2.0 message');
    if ('id' in message && !isId(message.id)) throw bad('the id is neither a string nor an integer');
    if (typeof message.method === 'string') {
        if (message.params !== undefined && !isObject(message.params)) throw bad('params is not an object');
    } else if (!isResponse(message) || !('id' in message)) {
        throw bad('neither request, notification nor response');
    }
}

/** Reads the metadata that every modern request carries, and throws when a required key is missing. */
export function modernMeta(params) {
    const meta = isObject(params?._meta) ? params._meta : {};
    const malformed = key => new RpcError(CODE.invalidParams, `Invalid params: _meta needs ${K}${key}`, undefined, 400);
    if (typeof meta[`${K}protocolVersion`] !== 'string') throw malformed('protocolVersion');
    if (!isObject(meta[`${K}clientCapabilities`])) throw malformed('clientCapabilities');
    return {
        version: meta[`${K}protocolVersion`],
        capabilities: meta[`${K}clientCapabilities`],
        logLevel: meta[`${K}logLevel`],
        progressToken: meta.progressToken
    };
}

/** Whether a message says of itself that it is one of 2026-07-28. */
export const saysModern = message =>
    typeof message?.params?._meta?.[`${K}protocolVersion`] === 'string' || message?.method === 'server/discover';

export function checkModernVersion(version, supported) {
    if (version === MODERN) return;
    const data = { supported, requested: version };
    throw new RpcError(CODE.unsupportedVersion, `Unsupported protocol version: ${version}`, data);
}

/** Resolves when one of the controllers aborts. */
export const anyOf = (...controllers) =>
    new Promise(resolve => {
        for (const { signal } of controllers) signal.addEventListener('abort', resolve, { once: true });
    });
