// The tasks extension of 2026-07-28: work that goes on after its call was answered.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ToolFailure } from './context.mjs';
import { invalidParams, isObject, RpcError } from './wire.mjs';

const TTL = 60_000;
const POLL_INTERVAL = 100;
const MAX_TASKS = 1000;
const TERMINAL = ['completed', 'failed', 'cancelled'];

/** One task, and what its work may do: the part of `Context` that makes sense without a request. */
class Task {
    #abort = new AbortController();
    #waiting = new Map(); // key -> { request, resolve }
    #changed;

    constructor(changed) {
        this.id = randomUUID();
        this.status = 'working';
        this.createdAt = this.lastUpdatedAt = new Date().toISOString();
        this.signal = this.#abort.signal;
        this.#changed = changed;
    }

    get over() {
        return TERMINAL.includes(this.status);
    }

    /** What a `CreateTaskResult` says. */
    head() {
        const { id: taskId, status, createdAt, lastUpdatedAt } = this;
        return { taskId, status, createdAt, lastUpdatedAt, ttlMs: TTL, pollIntervalMs: POLL_INTERVAL };
    }

    /** What `tasks/get` says. */
    details() {
        const more = {};
        if (this.status === 'completed') more.result = this.result;
        if (this.status === 'failed') more.error = this.error;
        if (this.status === 'input_required') {
            more.inputRequests = Object.fromEntries([...this.#waiting].map(([key, { request }]) => [key, request]));
        }
        return { ...this.head(), ...more };
    }

    #become(status, more = {}) {
        if (this.over) return;
        Object.assign(this, { status, lastUpdatedAt: new Date().toISOString() }, more);
        this.#changed(this);
    }

    async run(work) {
        try {
            this.#become('completed', { result: await work(this) });
        } catch (error) {
            if (error instanceof ToolFailure) this.#become('completed', { result: error.result });
            else this.#become('failed', { error: RpcError.of(error).toJSON() });
        }
    }

    sleep(ms) {
        return sleep(ms, undefined, { signal: this.signal });
    }

    progress() {}

    async ask(requests) {
        const asked = Object.entries(requests).map(([key, request]) => new Promise((resolve, reject) => {
            this.#waiting.set(key, { request, resolve: answer => resolve([key, answer]) });
            this.signal.addEventListener('abort', () => reject(this.signal.reason), { once: true });
        }));
        this.#become('input_required');
        return Object.fromEntries(await Promise.all(asked));
    }

    /** Takes the answers that are waited for, and ignores the rest. */
    answer(responses) {
        for (const [key, response] of Object.entries(responses)) {
            const waiting = this.#waiting.get(key);
            if (waiting === undefined || !isObject(response)) continue;
            this.#waiting.delete(key);
            waiting.resolve(response);
        }
        if (this.status !== 'input_required') return;
        this.#become(this.#waiting.size === 0 ? 'working' : 'input_required');
    }

    cancel() {
        this.#become('cancelled');
        this.#abort.abort();
    }
}

export class Tasks {
    #tasks = new Map();
    #changed;

    /** `changed(task)` hears of every change. */
    constructor(changed) {
        this.#changed = changed;
    }

    /** Starts a task and gives back the result of the call that asked for it. */
    start(work) {
        if (this.#tasks.size >= MAX_TASKS) throw new ToolFailure('Too many tasks');
        const task = new Task(this.#changed);
        this.#tasks.set(task.id, task);
        setTimeout(() => this.#forget(task), TTL + 1000).unref();
        const created = { resultType: 'task', ...task.head() };
        void task.run(work);
        return created;
    }

    #forget(task) {
        task.cancel();
        this.#tasks.delete(task.id);
    }

    find(id) {
        const task = this.#tasks.get(id);
        if (task === undefined) throw invalidParams(`Unknown task: ${id}`);
        return task;
    }
}
