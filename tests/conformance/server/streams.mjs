// Event streams: the plain ones of 2026-07-28, and the older ones that a client may come back to.

const MAX_EVENTS = 1000; // that a stream remembers
const RETRY = 100; // milliseconds until a client may come back
const KEEP_ALIVE = 15_000;

const frame = (message, id) => `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`;

export function beginEvents(res, headers = {}) {
    res.writeHead(200, {
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-cache',
        'X-Accel-Buffering': 'no',
        ...headers
    });
    res.flushHeaders();
    const timer = setInterval(() => res.write(': still here\n\n'), KEEP_ALIVE);
    res.on('close', () => clearInterval(timer));
}

/** The answer to a modern request: JSON if nothing comes before the result, and events otherwise. */
export class Answer {
    #res;

    constructor(res) {
        this.#res = res;
    }

    send(message) {
        if (this.#res.destroyed) return;
        if (!this.#res.headersSent) beginEvents(this.#res);
        this.#res.write(frame(message));
    }

    finish(message, status) {
        if (this.#res.destroyed) return;
        if (this.#res.headersSent) this.#res.end(frame(message));
        else this.#res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(message));
    }
}

/** A stream of a session. Its events have ids, and are kept for a client that lost it. */
export class Stream {
    #events = [];
    #last = 0;
    #res;
    #over = false;

    /** `key` is unique in the session. Since 2025-11-25 a stream begins with an event that only has an id. */
    constructor(key, version) {
        this.key = key;
        this.polling = version >= '2025-11-25';
    }

    /** Writes to `res` from now on, after all events behind number `after`. */
    attach(res, after, headers) {
        this.#res?.end();
        beginEvents(res, headers);
        this.#res = res;
        if (this.polling) res.write(`retry: ${RETRY}\nid: ${this.key}.${after}\ndata:\n\n`);
        for (const { number, message } of this.#events) {
            if (number > after) res.write(frame(message, `${this.key}.${number}`));
        }
        if (this.#over) res.end();
    }

    send(message) {
        this.#last += 1;
        this.#events.push({ number: this.#last, message });
        if (this.#events.length > MAX_EVENTS) this.#events.shift();
        this.#res?.write(frame(message, `${this.key}.${this.#last}`));
    }

    finish(message) {
        if (message !== undefined) this.send(message);
        this.#over = true;
        this.#res?.end();
    }

    /** Closes the connection under the stream, if clients know that they may come back. */
    drop() {
        if (!this.polling) return;
        this.#res?.end();
        this.#res = undefined;
    }
}
