// A client on the standard input and output of a process, for either era, that hides nothing of what it gets.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isRequest, isResponse, K, MODERN } from '../server/wire.mjs';

const ANSWER_TIMEOUT = 10_000;
/** How long to wait for a notification. What does not come costs this much, so it is not long. */
const NOTICE_TIMEOUT = 1500;

const after = (ms, value) =>
    new Promise(resolve => {
        setTimeout(() => resolve(value), ms).unref();
    });

export class Client {
    /** What the server was asked to ask us: `{ method, params }`. */
    asked = [];
    notices = [];
    /** Messages that answer nothing, or that we do not understand. */
    strays = [];
    /** Answers to the server's requests by method: `params => result`; an Error becomes an error. */
    answers = {};
    #waiting = new Map();
    #watchers = new Set();
    #nextId = 1;
    #child;
    #ended;

    /** `meta` is the `_meta` of every request, if the client is a modern one. */
    constructor([command, ...args], meta) {
        this.meta = meta;
        this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
        this.#ended = new Promise(resolve => {
            this.#child.on('error', resolve);
            this.#child.on('exit', (code, signal) => resolve(code ?? signal));
        });
        this.#child.stdin.on('error', () => {}); // it has ended: the answers that do not come say so
        createInterface({ input: this.#child.stdout }).on('line', line => this.#take(line));
    }

    #take(line) {
        let message;
        try {
            message = JSON.parse(line);
        } catch {
            this.strays.push(line);
            return;
        }
        if (isRequest(message)) {
            this.#answer(message);
        } else if (isResponse(message)) {
            const resolve = this.#waiting.get(message.id);
            this.#waiting.delete(message.id);
            if (resolve === undefined) this.strays.push(message);
            else resolve(message);
        } else {
            this.notices.push(message);
        }
        for (const watcher of [...this.#watchers]) watcher();
    }

    #answer({ id, method, params }) {
        this.asked.push(params === undefined ? { method } : { method, params });
        const answer = this.answers[method]?.(params) ?? Object.assign(new Error('Method not found'), { code: -32601 });
        const failed = answer instanceof Error;
        const { message, code } = answer;
        this.write({ jsonrpc: '2.0', id, ...(failed ? { error: { code, message } } : { result: answer }) });
    }

    write(message) {
        this.#child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
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
            this.#waiting.set(id, ({ result, error }) => resolve(error === undefined ? { result } : { error }));
        });
        const sent = Object.keys(_meta).length === 0 ? params : { ...params, _meta };
        this.write({ jsonrpc: '2.0', id, method, params: sent });
        return { id, answer };
    }

    /** Sends a request and waits for `{ result }` or `{ error }`. */
    async request(method, params, meta) {
        const { answer } = this.begin(method, params, meta);
        const timeout = after(ANSWER_TIMEOUT, { error: { code: 'none', message: 'no answer came' } });
        return Promise.race([answer, timeout, this.#ended.then(code => ({ error: { code: 'end', message: code } }))]);
    }

    call(name, args = {}, more = {}, meta = {}) {
        return this.request('tools/call', { name, arguments: args, ...more }, meta);
    }

    /** The answer to the first raw line that has no id of ours. */
    async raw(line) {
        this.write(line);
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
        await Promise.race([happened, after(NOTICE_TIMEOUT)]);
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
        const clientInfo = { name: 'stdio-scenarios', version: '1.0.0' };
        const answer = await this.request('initialize', { protocolVersion: version, capabilities, clientInfo });
        this.notify('notifications/initialized');
        return answer;
    }

    /** Closes the input; gives back the code that the process ends with. */
    async close() {
        this.#child.stdin.end();
        const code = await Promise.race([this.#ended, after(ANSWER_TIMEOUT, 'still running')]);
        this.#child.kill('SIGKILL');
        return code;
    }
}

export const modernMeta = (capabilities = {}, more = {}) => ({
    [`${K}protocolVersion`]: MODERN,
    [`${K}clientInfo`]: { name: 'stdio-scenarios', version: '1.0.0' },
    [`${K}clientCapabilities`]: capabilities,
    ...more
});
