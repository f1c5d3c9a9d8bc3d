// The client of the scenarios, over streamable HTTP.

import { setTimeout as sleep } from 'node:timers/promises';
import { isRequest, K } from '../server/wire.mjs';
import { Client } from './client.mjs';

const NAMED = { 'resources/read': 'uri', 'tasks/get': 'taskId', 'tasks/update': 'taskId', 'tasks/cancel': 'taskId' };
/** How often to come back for an answer whose stream ended before it. */
const RESUMES = 5;

/** A header value that says `text`, whatever is in it. */
const encoded = text =>
    /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;

/** Headers that repeat the body of a modern request. */
function repeated({ method, params = {} }) {
    const headers = { 'MCP-Protocol-Version': params._meta[`${K}protocolVersion`], 'Mcp-Method': method };
    const name = params[NAMED[method] ?? 'name'];
    if (typeof name === 'string') headers['Mcp-Name'] = encoded(name);
    // The one tool of the reference server that asks for such a header.
    const region = params.name === 'test_header_param' ? params.arguments?.region : undefined;
    if (region !== undefined) headers['Mcp-Param-Region'] = encoded(region);
    return headers;
}

export class HttpClient extends Client {
    #url;
    #session = {}; // headers
    #aborts = new Map();
    #alone = new AbortController();
    #problems = [];

    constructor(url, patience) {
        super(patience);
        this.#url = url;
    }

    write(message) {
        const abort = new AbortController();
        this.#aborts.set(message.id, abort);
        this.#post(message, abort.signal).catch(error => {
            if (!abort.signal.aborted) this.#problem(message, `${error.message} ${error.cause?.message ?? ''}`);
        });
    }

    #problem(message, what) {
        if (isRequest(message)) this.fail(message.id, 'http', what);
        else this.#problems.push(what);
    }

    async #post(message, signal) {
        const modern = typeof message.params?._meta?.[`${K}protocolVersion`] === 'string';
        const response = await fetch(this.#url, {
            method: 'POST',
            headers: {
                'Content-Type': 'application/json',
                Accept: 'application/json, text/event-stream',
                ...(modern ? repeated(message) : this.#session)
            },
            body: typeof message === 'string' ? message : JSON.stringify(message),
            signal
        });
        const type = response.headers.get('content-type') ?? '';
        const session = response.headers.get('mcp-session-id');
        if (message.method === 'initialize' && session !== null) this.#session['Mcp-Session-Id'] = session;
        if (type.startsWith('text/event-stream')) return this.#follow(message, response, signal);
        const body = await response.text();
        if (type.startsWith('application/json')) return this.take(JSON.parse(body));
        if (isRequest(message) || !response.ok) this.#problem(message, `HTTP ${response.status}: ${body}`);
        return undefined;
    }

    /** Reads the stream of a request, and comes back for the answer if the stream ends before it. */
    async #follow(message, first, signal) {
        let place = await this.#read(first);
        for (let resume = 0; resume < RESUMES && this.isWaiting(message.id) && place.id !== undefined; resume += 1) {
            await sleep(place.retry ?? 100, undefined, { signal });
            const response = await this.#get(signal, { 'Last-Event-ID': place.id });
            if (!response.ok) break;
            place = { ...place, ...(await this.#read(response)) };
        }
        if (this.isWaiting(message.id)) this.#problem(message, 'the stream ended without an answer');
    }

    #get(signal, more = {}) {
        return fetch(this.#url, { headers: { Accept: 'text/event-stream', ...this.#session, ...more }, signal });
    }

    /** Takes the messages of a stream; gives back where it ended. */
    async #read(response) {
        const place = {};
        let rest = '';
        const decoder = new TextDecoder();
        for await (const chunk of response.body) {
            const events = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n\r?\n/);
            rest = events.pop();
            for (const event of events) this.#event(event, place);
        }
        return place;
    }

    #event(event, place) {
        const data = [];
        for (const line of event.split(/\r?\n/)) {
            const [field, ...after] = line.split(':');
            const value = after.join(':').replace(/^ /, '');
            if (field === 'id') place.id = value;
            if (field === 'retry') place.retry = Number(value);
            if (field === 'data' && value) data.push(value);
        }
        if (data.length > 0) this.take(JSON.parse(data.join('\n')));
    }

    async initialized(result) {
        this.#session['MCP-Protocol-Version'] = result?.protocolVersion;
        const { signal } = this.#alone;
        const response = await this.#get(signal);
        if (response.ok) this.#read(response).catch(() => {}); // closed by us, or the end of what comes
        else await response.body?.cancel();
    }

    /** Ends a request: by closing its stream, or with a notification where that means nothing. */
    cancel(id) {
        if (this.meta[`${K}protocolVersion`] === undefined) {
            this.notify('notifications/cancelled', { requestId: id, reason: 'enough' });
        } else {
            this.#aborts.get(id).abort();
        }
    }

    /** Ends the session, if there is one; gives back 0, or what went wrong. */
    async close() {
        this.#alone.abort();
        if (this.#session['Mcp-Session-Id'] !== undefined) {
            const response = await fetch(this.#url, { method: 'DELETE', headers: this.#session });
            await response.body?.cancel();
            if (!response.ok) this.#problems.push(`HTTP ${response.status} for DELETE`);
        }
        for (const abort of this.#aborts.values()) abort.abort();
        return this.#problems.length === 0 ? 0 : this.#problems;
    }
}
