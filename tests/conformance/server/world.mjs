// What all connections to one server share: its lists, its tasks, and who hears of changes.

import { EXTRA_PROMPT, EXTRA_TOOL, PROMPTS, TOOLS } from './fixtures.mjs';
import { Tasks } from './tasks.mjs';
import { LEGACY, MODERN } from './wire.mjs';

export class World {
    tools = new Map(TOOLS);
    prompts = new Map(PROMPTS);
    tasks = new Tasks(task => this.emit({ kind: 'task', task }));
    /** How often test://watched-resource has changed. */
    watched = 0;
    /** How many waits were cancelled, by their tag. */
    cancelled = new Map();
    #listeners = new Set();

    /** `era` is `legacy`, `modern` or `both`: which requests are understood. */
    constructor(era) {
        this.era = era;
        this.versions = [...(era === 'legacy' ? [] : [MODERN]), ...(era === 'modern' ? [] : LEGACY)];
    }

    /** Whether a request is one of 2026-07-28; `says` is what it looks like. */
    isModern(says) {
        return this.era === 'both' ? says : this.era === 'modern';
    }

    /** Adds the extra tool or prompt, or takes it away; says which. */
    toggle(kind) {
        const list = this[kind];
        const [name, item] = kind === 'tools' ? EXTRA_TOOL : EXTRA_PROMPT;
        const added = !list.delete(name);
        if (added) list.set(name, item);
        this.emit({ kind });
        return added ? `${name} is new` : `${name} is gone`;
    }

    /** `listener(change)` hears of each change until the returned function is called. */
    listen(listener) {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
    }

    emit(change) {
        for (const listener of [...this.#listeners]) listener(change);
    }
}
