// What a fixture may do while it serves a request, whatever the era and the transport.

import { setTimeout as sleep } from 'node:timers/promises';
import { seal, unseal } from './sealed.mjs';
import {
    CODE, InputRequired, invalidParams, isObject, MODERN, notification, RpcError, TASKS
} from './wire.mjs';

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];
export const isLevel = level => LEVELS.includes(level);

/** The client capability that each thing to ask for needs. */
const NEEDS = { 'sampling/createMessage': 'sampling', 'elicitation/create': 'elicitation', 'roots/list': 'roots' };

/** Whether the client's answer has the shape of the result that was asked for. */
function isAnswer(method, answer) {
    if (!isObject(answer)) return false;
    if (method === 'roots/list') return Array.isArray(answer.roots);
    if (method === 'sampling/createMessage') return 'content' in answer && typeof answer.role === 'string';
    return ['accept', 'decline', 'cancel'].includes(answer.action);
}

export class Context {
    /** What the client had to say in this request, by key; only in the modern era. */
    #answers;
    /** Those of earlier rounds and of this one that have been looked at, for the next round. */
    #kept = {};
    #stateful = false;
    #binding;

    /**
     * @param exchange `{ signal, send(message), request(method, params), dropStream() }` of the transport
     * @param client   `{ version, capabilities, logLevel }` of the session, or of the request when it is modern
     */
    constructor({ world, client, method, params, exchange, progressToken }) {
        Object.assign(this, { world, client, params, exchange, progressToken, signal: exchange.signal });
        this.modern = client.version === MODERN;
        if (this.modern) this.#readAnswers(method);
    }

    #readAnswers(method) {
        const { name, uri, arguments: args, inputResponses, requestState } = this.params;
        this.#binding = JSON.stringify([method, name ?? uri, args ?? {}]);
        if (inputResponses !== undefined && !isObject(inputResponses)) {
            throw invalidParams('inputResponses is not an object');
        }
        this.#stateful = requestState !== undefined;
        if (this.#stateful) this.#kept = unseal(this.#binding, requestState);
        this.#answers = { ...this.#kept, ...inputResponses };
    }

    sleep(ms) {
        return sleep(ms, undefined, { signal: this.signal });
    }

    progress(progress, total) {
        if (this.progressToken === undefined) return;
        const params = { progressToken: this.progressToken, progress, total };
        this.exchange.send(notification('notifications/progress', params));
    }

    /** Modern clients get logs only when the request names a level, older ones from the level of their session up. */
    log(level, data) {
        const lowest = LEVELS.indexOf(this.client.logLevel);
        if (lowest < 0 || LEVELS.indexOf(level) < lowest) return;
        this.exchange.send(notification('notifications/message', { level, logger: 'conformance', data }));
    }

    has(capability) {
        return isObject(this.client.capabilities?.[capability]);
    }

    get tasks() {
        return this.modern && isObject(this.client.capabilities.extensions?.[TASKS]);
    }

    /** Throws unless the client declared these capabilities, an object of the shape of `ClientCapabilities`. */
    require(required) {
        const { extensions = {}, ...plain } = required;
        const all = Object.keys(plain).every(name => this.has(name));
        if (all && (!(TASKS in extensions) || this.tasks)) return;
        const names = [...Object.keys(plain), ...Object.keys(extensions)].join(', ');
        const message = `The client did not declare a capability that this needs: ${names}`;
        if (!this.modern) throw new ToolFailure(message);
        throw new RpcError(CODE.missingCapability, message, { requiredCapabilities: required });
    }

    /**
     * Asks the client for everything in `requests` (key -> `{ method, params }`) and gives back its answers by key.
     * Before 2026-07-28 these are requests of the server; since then the call ends here, and the client's next try
     * comes by with the answers. With `state`, answers count only together with the state that asked for them.
     */
    async ask(requests, { state = false } = {}) {
        const needed = Object.values(requests).map(({ method }) => [NEEDS[method], {}]);
        this.require(Object.fromEntries(needed));
        if (!this.modern) return this.#askNow(requests);
        const answers = {};
        const missing = {};
        for (const [key, request] of Object.entries(requests)) {
            if (Object.hasOwn(this.#answers, key) && (this.#stateful || !state)) {
                if (!isAnswer(request.method, this.#answers[key])) {
                    throw invalidParams(`inputResponses.${key} is not a result of ${request.method}`);
                }
                answers[key] = this.#answers[key];
            } else {
                missing[key] = request;
            }
        }
        Object.assign(this.#kept, answers);
        if (Object.keys(missing).length === 0) return answers;
        const sealed = state || Object.keys(this.#kept).length > 0;
        throw new InputRequired(missing, sealed ? seal(this.#binding, this.#kept) : undefined);
    }

    async #askNow(requests) {
        const asked = Object.entries(requests).map(async ([key, { method, params }]) => {
            const answer = await this.exchange.request(method, params);
            if (!isAnswer(method, answer)) throw new ToolFailure(`The client's answer to ${method} has no such shape`);
            return [key, answer];
        });
        return Object.fromEntries(await Promise.all(asked));
    }

    /** Does `work(context)` as a task if the client can follow one, and at once otherwise. */
    task(work) {
        return this.tasks ? this.world.tasks.start(work) : work(this);
    }

    /** Ends the stream of this request before its answer, where clients know how to come back for it. */
    dropStream() {
        this.exchange.dropStream();
    }
}

/** A tool that failed: a result with `isError`, not a JSON-RPC error. */
export class ToolFailure extends Error {
    get result() {
        return { content: [{ type: 'text', text: this.message }], isError: true };
    }
}
