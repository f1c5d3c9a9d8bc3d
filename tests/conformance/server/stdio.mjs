// The same server on standard input and output: one message a line, one client, every revision.

import { createInterface } from 'node:readline';
import { answerLegacy, answerModern } from './methods.mjs';
import { Session } from './session.mjs';
import { anyOf, CODE, checkEnvelope, errorOf, isRequest, isResponse, RpcError, resultOf, saysModern } from './wire.mjs';

export class StdioServer {
    #world;
    #log;
    #session;
    #modern = new Map(); // requests that are being answered: id -> AbortController
    #shutdown = new AbortController();
    #answers = new Set();

    constructor(world, log) {
        this.#world = world;
        this.#log = log;
    }

    /** Serves until the input ends, and what is under way then is answered or given up. */
    async serve() {
        for await (const line of createInterface({ input: process.stdin })) {
            if (line.trim() === '') continue;
            const answer = this.#take(line);
            this.#answers.add(answer);
            void answer.finally(() => this.#answers.delete(answer));
        }
        await this.close();
    }

    /** Ends subscriptions with an answer, and everything else without one. */
    async close() {
        this.#shutdown.abort();
        this.#session?.end();
        await new Promise(setImmediate); // the answers to subscriptions
    }

    #send(message) {
        process.stdout.write(`${JSON.stringify(message)}\n`);
    }

    async #take(line) {
        let message;
        try {
            message = JSON.parse(line);
        } catch {
            return this.#send(errorOf(undefined, new RpcError(CODE.parse, 'Parse error')));
        }
        this.#log('->', message);
        try {
            checkEnvelope(message);
            if (isResponse(message)) return this.#session?.respond(message);
            if (!isRequest(message)) return this.#note(message);
            const modern = this.#world.isModern(saysModern(message));
            return await (modern ? this.#answerModern(message) : this.#answerLegacy(message));
        } catch (error) {
            return this.#send(errorOf(message?.id, error));
        }
    }

    #note(message) {
        if (message.method === 'notifications/cancelled') this.#modern.get(message.params?.requestId)?.abort();
        this.#session?.note(message);
    }

    async #answerModern(message) {
        const { id } = message;
        const cancel = new AbortController();
        this.#modern.set(id, cancel);
        const exchange = {
            id,
            signal: cancel.signal,
            ended: anyOf(cancel, this.#shutdown),
            send: notice => this.#send(notice),
            dropStream() {}
        };
        await this.#finish(id, cancel, answerModern(this.#world, message, exchange));
        this.#modern.delete(id);
    }

    async #answerLegacy(message) {
        const { id, method, params } = message;
        if (method === 'initialize') {
            if (this.#session !== undefined) throw new RpcError(CODE.invalidRequest, 'Invalid request: initialized');
            this.#session = new Session(this.#world, params, notice => this.#send(notice));
        }
        const session = this.#session;
        if (session === undefined) throw new RpcError(CODE.invalidRequest, 'Invalid request: not initialized');
        const cancel = new AbortController();
        session.underWay.set(id, cancel);
        const exchange = {
            id,
            signal: cancel.signal,
            send: notice => this.#send(notice),
            request: (asked, what) => session.request(one => this.#send(one), asked, what, cancel.signal),
            dropStream() {}
        };
        await this.#finish(id, cancel, answerLegacy(this.#world, session, message, exchange));
        session.underWay.delete(id);
    }

    /** Sends the response, unless the request was cancelled. */
    async #finish(id, cancel, result) {
        const response = await result.then(value => resultOf(id, value), error => errorOf(id, error));
        if (!cancel.signal.aborted) this.#send(response);
    }
}
