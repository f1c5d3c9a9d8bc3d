// A session of the revisions before 2026-07-28, on whatever carries it.

import { CODE, isObject, invalidParams, LEGACY, notification, RpcError } from './wire.mjs';

export class Session {
    logLevel = undefined;
    subscriptions = new Set();
    /** Requests of the client that are being answered: id -> AbortController. */
    underWay = new Map();
    #waiting = new Map(); // our requests to the client: id -> { resolve, reject }
    #nextId = 1;
    #stop;

    /** `tell(message)` sends what belongs to no request of the client. */
    constructor(world, params, tell) {
        if (typeof params?.protocolVersion !== 'string' || !isObject(params.capabilities)) {
            throw invalidParams('Invalid params: initialize needs protocolVersion and capabilities');
        }
        const asked = params.protocolVersion;
        this.version = LEGACY.includes(asked) ? asked : LEGACY.at(-1);
        this.capabilities = params.capabilities;
        this.#stop = world.listen(({ kind, uri }) => {
            if (kind === 'tools' || kind === 'prompts') tell(notification(`notifications/${kind}/list_changed`));
            if (kind === 'resource' && this.subscriptions.has(uri)) {
                tell(notification('notifications/resources/updated', { uri }));
            }
        });
    }

    /** Sends a request to the client with `send`, and waits for its result. */
    request(send, method, params, signal) {
        if (method === 'elicitation/create' && this.version < '2025-06-18') {
            throw new RpcError(CODE.internal, `${this.version} has no elicitation`);
        }
        const id = `server-${this.#nextId}`;
        this.#nextId += 1;
        return new Promise((resolve, reject) => {
            const done = settle => value => {
                this.#waiting.delete(id);
                settle(value);
            };
            this.#waiting.set(id, { resolve: done(resolve), reject: done(reject) });
            signal.addEventListener('abort', () => done(reject)(signal.reason), { once: true });
            send({ jsonrpc: '2.0', id, method, params });
        });
    }

    /** Takes a response of the client to one of our requests; any other is ignored. */
    respond({ id, result, error }) {
        const waiting = this.#waiting.get(id);
        if (error === undefined) waiting?.resolve(result);
        else waiting?.reject(new RpcError(error.code, error.message, error.data));
    }

    /** Takes a notification of the client. */
    note({ method, params }) {
        if (method === 'notifications/cancelled') this.underWay.get(params?.requestId)?.abort();
    }

    end() {
        this.#stop();
        for (const controller of this.underWay.values()) controller.abort();
    }
}
