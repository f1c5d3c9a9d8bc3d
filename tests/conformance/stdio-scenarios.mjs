#!/usr/bin/env node
// The fixtures of the reference server over stdio, in both eras: what a client sees directly, and through the gateway.
//
//   node stdio-scenarios.mjs --out DIR [--gateway PATH] [--only PATTERN]
//
// Plays each scenario of stdio/legacy.mjs and stdio/modern.mjs against the server, and against `mcp-gw-stdio` (PATH) with
// that server behind it, once as it is and once as one of old revisions. What it saw is written into DIR as the suite
// writes its checks, so that compare.mjs compares both alike: a check fails directly if it is not what the scenario
// expects, and through the gateway if it is not what was seen directly.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { K } from './server/wire.mjs';
import { Client } from './stdio/client.mjs';
import { LEGACY_SCENARIOS } from './stdio/legacy.mjs';
import { MODERN_SCENARIOS } from './stdio/modern.mjs';

const { values: options } = parseArgs({
    options: {
        out: { type: 'string' },
        gateway: { type: 'string' },
        only: { type: 'string', default: '*' }
    }
});

const SETS = { 'stdio-2025-11-25': LEGACY_SCENARIOS, 'stdio-2026-07-28': MODERN_SCENARIOS };
const AT_ONCE = 4;
const server = join(dirname(fileURLToPath(import.meta.url)), 'reference-server.mjs');
const only = new RegExp(`^${options.only.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);

/** Members that belong to a hop, or that are new each time: that they are there counts, and not what they say. */
const OPAQUE = new Set(['requestState', 'taskId', 'taskIds', 'createdAt', 'lastUpdatedAt', 'ttlMs', 'cacheScope']);
const HOP = new Set([`${K}serverInfo`, `${K}subscriptionId`]);

/** A value without what may differ between two runs. */
function essence(value) {
    if (Array.isArray(value)) return value.map(essence);
    if (typeof value !== 'object' || value === null) return value;
    const kept = {};
    for (const [name, member] of Object.entries(value)) {
        if (HOP.has(name)) continue;
        const inner = OPAQUE.has(name) ? typeof member : essence(member);
        // A `_meta` of which nothing is left might as well not be there.
        if (name !== '_meta' || Object.keys(inner).length > 0) kept[name] = inner;
    }
    return kept;
}

/** Plays a scenario; gives back what was seen: check -> `{ value, expected }`. */
async function play(scenario, command) {
    const client = new Client(command);
    const seen = new Map();
    const see = (check, value, expected = true) => {
        if (seen.has(check)) throw new Error(`the check ${check} is there twice`);
        seen.set(check, { value: essence(value), expected });
    };
    try {
        await scenario(client, see);
    } catch (error) {
        see('went-through', `${error.message} ${error.stack.split('\n')[1]?.trim()}`, false);
    }
    if (!seen.has('went-through')) see('went-through', true);
    const code = await client.close();
    see('ends-with-its-input', code, code === 0);
    return seen;
}

const short = value => (JSON.stringify(value) ?? 'nothing').slice(0, 600);

function checksOf(seen, direct) {
    return [...seen].map(([id, { value, expected }]) => {
        if (direct === undefined) {
            return { id, name: id, status: expected ? 'SUCCESS' : 'FAILURE', errorMessage: `it saw ${short(value)}` };
        }
        const equal = isDeepStrictEqual(value, direct.get(id)?.value);
        const errorMessage = `it saw ${short(value)}, and directly ${short(direct.get(id)?.value)}`;
        return { id, name: id, status: equal ? 'SUCCESS' : 'FAILURE', errorMessage };
    });
}

function write(where, set, scenario, checks) {
    const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const folder = join(options.out, where, set, `server-${scenario}-${time}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'checks.json'), JSON.stringify(checks, null, 2));
}

/** The gateway with the server behind it; policy and limit are on, as over HTTP. */
function gatewayCommand(era) {
    const config = join(options.out, `stdio-${era}.yaml`);
    const command = [process.execPath, server, '--stdio', '--era', era];
    const servers = { reference: { command: command[0], args: command.slice(1) } };
    const limits = { calls_per_minute: 1_000_000 };
    writeFileSync(config, JSON.stringify({ policy: { default: 'allow' }, limits, servers }));
    return [options.gateway, 'run', '--config', config];
}

mkdirSync(options.out, { recursive: true });
const targets = [{ command: [process.execPath, server, '--stdio'] }];
if (options.gateway !== undefined) {
    targets.push({ command: gatewayCommand('both'), suffix: '' });
    targets.push({ command: gatewayCommand('legacy'), suffix: '@legacy' });
}
const queue = Object.entries(SETS).flatMap(([set, scenarios]) =>
    Object.entries(scenarios).filter(([name]) => only.test(name)).map(([name, scenario]) => ({ set, name, scenario }))
);

/** Plays what is left in the queue, everywhere at once: each has processes of its own. */
async function work() {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { set, name, scenario } = next;
        const [direct, ...through] = await Promise.all(targets.map(({ command }) => play(scenario, command)));
        write('direct', set, name, checksOf(direct));
        through.forEach((seen, at) => {
            write('gateway', `${set}${targets[at + 1].suffix}`, name, checksOf(seen, direct));
        });
    }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
process.exit(0);
