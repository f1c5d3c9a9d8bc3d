// Streamable HTTP: one endpoint for every revision.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { checkHeaders } from './headers.mjs';
import { answerLegacy, answerModern } from './methods.mjs';
import { Session } from './session.mjs';
import { Answer, Stream } from './streams.mjs';
import {
    anyOf, CODE, checkEnvelope, errorOf, isObject, isRequest, isResponse, LEGACY, MODERN, RpcError, resultOf, saysModern
} from './wire.mjs';

const PATH = '/mcp';
const MAX_BODY = 8 * 1024 * 1024;
const MAX_SESSIONS = 256;
const MAX_STREAMS = 64; // that a session remembers
/** Answered with events from the start, as they may have something to say before their result. */
const STREAMED = ['tools/call', 'prompts/get'];

/** A refusal without a JSON-RPC message. */
class Refusal extends Error {
    constructor(status, message, headers = {}) {
        super(message);
        Object.assign(this, { status, headers });
    }
}

const isLoopback = host => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host ?? '');

function checkSource({ host, origin }) {
    if (!isLoopback(host)) throw new Refusal(403, 'Host is not allowed');
    if (origin !== undefined && !isLoopback(origin.replace(/^https?:\/\//, ''))) {
        throw new Refusal(403, 'Origin is not allowed');
    }
}

function accepts(req, ...types) {
    const offered = (req.headers.accept ?? '').split(',').map(type => type.split(';')[0].trim().toLowerCase());
    if (!types.every(type => offered.includes(type))) throw new Refusal(406, `Accept must list ${types.join(' and ')}`);
}

async function readJson(req) {
    accepts(req, 'application/json', 'text/event-stream');
    if (!/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) {
        throw new Refusal(415, 'Content-Type must be application/json');
    }
    const chunks = [];
    let size = 0;
    for await (const chunk of req) {
        size += chunk.length;
        if (size > MAX_BODY) throw new Refusal(413, 'The body is too large');
        chunks.push(chunk);
    }
    try {
        return JSON.parse(Buffer.concat(chunks).toString());
    } catch {
        throw new RpcError(CODE.parse, 'Parse error', undefined, 400);
    }
}

export class HttpServer {
    #world;
    #log;
    #sessions = new Map();
    #shutdown = new AbortController();
    #server = createServer((req, res) => this.#handle(req, res));

    constructor(world, log) {
        this.#world = world;
        this.#log = log;
    }

    /** Listens on loopback; gives back the URL. */
    listen(port) {
        return new Promise((resolve, reject) => {
            this.#server.once('error', reject);
            this.#server.listen(port, '127.0.0.1', () => {
                resolve(`http://127.0.0.1:${this.#server.address().port}${PATH}`);
            });
        });
    }

    /** Ends subscriptions with an answer, sessions without one, and then all connections. */
    async close() {
        this.#shutdown.abort();
        for (const id of [...this.#sessions.keys()]) this.#end(id);
        const closed = new Promise(resolve => this.#server.close(resolve));
        setImmediate(() => this.#server.closeIdleConnections());
        setTimeout(() => this.#server.closeAllConnections(), 500).unref();
        await closed;
    }

    async #handle(req, res) {
        let id;
        try {
            checkSource(req.headers);
            if (new URL(req.url, 'http://localhost').pathname !== PATH) throw new Refusal(404, 'Not found');
            const sessions = this.#world.era !== 'modern';
            if (req.method === 'GET' && sessions) return this.#resume(req, res);
            if (req.method === 'DELETE' && sessions) return this.#delete(req, res);
            if (req.method !== 'POST') {
                throw new Refusal(405, 'Method not allowed', { Allow: sessions ? 'GET, POST, DELETE' : 'POST' });
            }
            const message = await readJson(req);
            id = message?.id;
            this.#log('->', req.headers, message);
            if (this.#isModern(req, message)) await this.#modern(req, res, message);
            else await this.#legacy(req, res, message);
        } catch (error) {
            this.#refuse(res, error, id);
        }
    }

    #isModern({ headers }, message) {
        const said = headers['mcp-protocol-version'];
        const newer = said !== undefined && !LEGACY.includes(said) && said >= MODERN;
        return this.#world.isModern(newer || saysModern(message));
    }

    #refuse(res, error, id) {
        this.#log('!!', error.message);
        if (res.headersSent) return res.end();
        if (error instanceof Refusal) {
            return res.writeHead(error.status, { 'Content-Type': 'text/plain', ...error.headers }).end(error.message);
        }
        const status = error instanceof RpcError ? error.status : 500;
        return res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(errorOf(id, error)));
    }

    // --- 2026-07-28 -----------------------------------------------------------------------------------------------

    async #modern(req, res, message) {
        checkEnvelope(message);
        if (isResponse(message)) throw new RpcError(CODE.invalidRequest, 'Invalid request: a response', undefined, 400);
        if (!isRequest(message)) return res.writeHead(202).end();
        const gone = new AbortController();
        res.on('close', () => gone.abort());
        const answer = new Answer(res);
        const exchange = {
            id: message.id,
            signal: gone.signal,
            ended: anyOf(gone, this.#shutdown),
            send: notice => answer.send(notice),
            dropStream() {}
        };
        const check = meta => checkHeaders(req.headers, { params: {}, ...message }, meta, this.#world);
        try {
            const result = await answerModern(this.#world, message, exchange, check);
            return answer.finish(resultOf(message.id, result), 200);
        } catch (error) {
            return answer.finish(errorOf(message.id, error), RpcError.of(error).status);
        }
    }

    // --- up to 2025-11-25 -----------------------------------------------------------------------------------------

    #session({ headers }) {
        const said = headers['mcp-protocol-version'];
        if (said !== undefined && !LEGACY.includes(said)) throw new Refusal(400, `Unsupported version: ${said}`);
        const id = headers['mcp-session-id'];
        if (id === undefined) throw new Refusal(400, 'Mcp-Session-Id is missing');
        const session = this.#sessions.get(id);
        if (session === undefined) throw new Refusal(404, 'There is no such session');
        return session;
    }

    #end(id) {
        const session = this.#sessions.get(id);
        this.#sessions.delete(id);
        session.peer.end();
        for (const stream of session.streams.values()) stream.finish();
    }

    #delete(req, res) {
        const session = this.#session(req);
        this.#end(session.id);
        res.writeHead(204).end();
    }

    /** A stream for what belongs to no request, or one that was lost. */
    #resume(req, res) {
        accepts(req, 'text/event-stream');
        const session = this.#session(req);
        const last = req.headers['last-event-id'];
        if (last === undefined) {
            session.alone = this.#open(session);
            session.alone.attach(res, 0);
            return;
        }
        const [, key, number] = /^([^.]+)\.(\d+)$/.exec(last) ?? [];
        const stream = session.streams.get(key);
        if (stream === undefined) throw new Refusal(404, 'There is no such stream');
        stream.attach(res, Number(number));
    }

    #open(session) {
        session.opened += 1;
        const stream = new Stream(`stream-${session.opened}`, session.peer.version);
        session.streams.set(stream.key, stream);
        if (session.streams.size > MAX_STREAMS) session.streams.delete(session.streams.keys().next().value);
        return stream;
    }

    async #legacy(req, res, message) {
        if (Array.isArray(message)) return this.#batch(req, res, message);
        checkEnvelope(message);
        if (message.method === 'initialize' && isRequest(message)) return this.#initialize(res, message);
        const session = this.#session(req);
        if (!isRequest(message)) {
            this.#take(session, message);
            return res.writeHead(202).end();
        }
        if (STREAMED.includes(message.method)) {
            const stream = this.#open(session);
            stream.attach(res, 0);
            return stream.finish(await this.#answer(session, message, stream));
        }
        const body = await this.#answer(session, message, session.alone);
        return res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    }

    #take(session, message) {
        if (isResponse(message)) session.peer.respond(message);
        else session.peer.note(message);
    }

    async #initialize(res, message) {
        const id = randomUUID();
        const session = { id, streams: new Map(), opened: 0 };
        session.peer = new Session(this.#world, message.params, notice => session.alone?.send(notice));
        this.#sessions.set(id, session);
        if (this.#sessions.size > MAX_SESSIONS) this.#end(this.#sessions.keys().next().value);
        const body = await this.#answer(session, message);
        res.writeHead(200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': id }).end(JSON.stringify(body));
    }

    /** The response to a request; `undefined` when it was cancelled. */
    async #answer(session, message, stream) {
        const { id } = message;
        const { peer } = session;
        const cancel = new AbortController();
        peer.underWay.set(id, cancel);
        const send = notice => stream?.send(notice);
        const exchange = {
            id,
            signal: cancel.signal,
            send,
            request: (method, params) => peer.request(send, method, params, cancel.signal),
            dropStream: () => stream?.drop()
        };
        try {
            return resultOf(id, await answerLegacy(this.#world, peer, message, exchange));
        } catch (error) {
            return cancel.signal.aborted ? undefined : errorOf(id, error);
        } finally {
            peer.underWay.delete(id);
        }
    }

    /** Several messages in one array, which only 2025-03-26 has. */
    async #batch(req, res, messages) {
        const session = this.#session(req);
        if (session.peer.version !== '2025-03-26' || messages.length === 0) {
            throw new RpcError(CODE.invalidRequest, 'Invalid request: an array', undefined, 400);
        }
        messages.forEach(checkEnvelope);
        const requests = messages.filter(isRequest);
        messages.filter(message => isObject(message) && !isRequest(message)).forEach(one => this.#take(session, one));
        if (requests.length === 0) return res.writeHead(202).end();
        const stream = this.#open(session);
        stream.attach(res, 0);
        await Promise.all(requests.map(async request => {
            const response = await this.#answer(session, request, stream);
            if (response !== undefined) stream.send(response);
        }));
        return stream.finish();
    }
}
