// A client for either era that hides nothing of what it gets. A transport adds `write`, `cancel` and `close`.

import { isRequest, isResponse, K, MODERN } from '../server/wire.mjs';

const ANSWER_TIMEOUT = 30_000;

export const after = (ms, value) =>
    new Promise(resolve => {
        setTimeout(() => resolve(value), ms).unref();
    });

const failure = (code, message) => ({ error: { code, message } });

export class Client {
    /** What the server asked us for: `{ method, params }`. */
    asked = [];
    notices = [];
    /** Messages that answer nothing, or that we do not understand. */
    strays = [];
    /** Answers to the server's requests by method: `params => result`; an Error becomes an error. */
    answers = {};
    /** The `_meta` of every request, if the client is a modern one. */
    meta = {};
    #patience;
    #waiting = new Map();
    #watchers = new Set();
    #nextId = 1;

    /** `patience` is how many milliseconds to wait for a notification. */
    constructor(patience) {
        this.#patience = patience;
    }

    /** Takes a message of the server. */
    take(message) {
        if (isRequest(message)) {
            this.#answer(message);
        } else if (isResponse(message)) {
            this.#settle(message);
        } else if (typeof message?.method === 'string') {
            this.notices.push(message);
        } else {
            this.strays.push(message);
        }
        for (const watcher of [...this.#watchers]) watcher();
    }

    #settle(message) {
        const resolve = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        const { result, error } = message;
        if (resolve === undefined) this.strays.push(message);
        else resolve(error === undefined ? { result } : { error });
    }

    /** Gives up waiting for the answer to a request, for a reason that is none of the protocol's. */
    fail(id, code, message) {
        this.#waiting.get(id)?.(failure(code, message));
        this.#waiting.delete(id);
    }

    isWaiting(id) {
        return this.#waiting.has(id);
    }

    #answer({ id, method, params }) {
        this.asked.push(params === undefined ? { method } : { method, params });
        const answer = this.answers[method]?.(params) ?? Object.assign(new Error('Method not found'), { code: -32601 });
        const failed = answer instanceof Error;
        const { message, code } = answer;
        this.write({ jsonrpc: '2.0', id, ...(failed ? { error: { code, message } } : { result: answer }) });
    }

    notify(method, params) {
        this.write({ jsonrpc: '2.0', method, ...(params && { params }) });
    }

    /** Sends a request; gives back its id and the promise of `{ result }` or `{ error }`. */
    begin(method, params = {}, meta = {}) {
        const id = this.#nextId;
        this.#nextId += 1;
        const _meta = { ...this.meta, ...meta };
        const answer = new Promise(resolve => {
            this.#waiting.set(id, resolve);
        });
        const sent = Object.keys(_meta).length === 0 ? params : { ...params, _meta };
        this.write({ jsonrpc: '2.0', id, method, params: sent });
        return { id, answer };
    }

    /** Sends a request and waits for `{ result }` or `{ error }`. */
    async request(method, params, meta) {
        const { id, answer } = this.begin(method, params, meta);
        void after(ANSWER_TIMEOUT).then(() => this.fail(id, 'none', 'no answer came'));
        return answer;
    }

    call(name, args = {}, more = {}, meta = {}) {
        return this.request('tools/call', { name, arguments: args, ...more }, meta);
    }

    /** The answer to text that is no message, which has no id. */
    async raw(text) {
        this.write(text);
        await this.#until(() => this.strays.length > 0);
        return this.strays.shift();
    }

    async #until(done) {
        let watcher;
        const happened = new Promise(resolve => {
            watcher = () => done() && resolve();
            this.#watchers.add(watcher);
            watcher();
        });
        await Promise.race([happened, after(this.#patience)]);
        this.#watchers.delete(watcher);
    }

    /** The params of notifications that fit, once there are `count` of them, or after some time. Takes them away. */
    async noticed(method, count = 1, fits = () => true) {
        const mine = notice => notice.method === method && fits(notice.params);
        await this.#until(() => this.notices.filter(mine).length >= count);
        const found = this.notices.filter(mine);
        this.notices = this.notices.filter(notice => !mine(notice));
        return found.map(({ params }) => params ?? {});
    }

    /** What the server asked since the last time. */
    takeAsked() {
        return this.asked.splice(0);
    }

    async initialize(capabilities = {}, version = '2025-11-25') {
        const clientInfo = { name: 'scenarios', version: '1.0.0' };
        const answer = await this.request('initialize', { protocolVersion: version, capabilities, clientInfo });
        await this.initialized(answer.result);
        this.notify('notifications/initialized');
        return answer;
    }

    async initialized() {}
}

export const modernMeta = (capabilities = {}, more = {}) => ({
    [`${K}protocolVersion`]: MODERN,
    [`${K}clientInfo`]: { name: 'scenarios', version: '1.0.0' },
    [`${K}clientCapabilities`]: capabilities,
    ...more
});
