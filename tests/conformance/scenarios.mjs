#!/usr/bin/env node
// The fixtures of the reference server, in both eras and over both transports: what a client sees directly, and through
// the gateway.
//
//   node scenarios.mjs --out DIR [--http PATH --stdio PATH] [--only PATTERN]
//
// Plays each scenario of scenarios/legacy.mjs and scenarios/modern.mjs against the server, and against the gateway
// (`mcp-gw-http` and `mcp-gw-stdio`) in front of it, once as a server of 2026-07-28 alone and once as one of older
// revisions. What was seen is written into DIR as the suite writes its checks, so that compare.mjs compares both alike:
// a check fails directly if it is not what the scenario expects, and through the gateway if it is not what was seen
// directly.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { HttpClient } from './scenarios/http-client.mjs';
import { LEGACY_SCENARIOS } from './scenarios/legacy.mjs';
import { MODERN_SCENARIOS } from './scenarios/modern.mjs';
import { StdioClient } from './scenarios/stdio-client.mjs';
import { K } from './server/wire.mjs';

const { values: options } = parseArgs({
    options: {
        out: { type: 'string' },
        http: { type: 'string' },
        stdio: { type: 'string' },
        only: { type: 'string', default: '*' }
    }
});

const SETS = { '2025-11-25': LEGACY_SCENARIOS, '2026-07-28': MODERN_SCENARIOS };
const AT_ONCE = 2;
const server = join(dirname(fileURLToPath(import.meta.url)), 'reference-server.mjs');
const only = new RegExp(`^${options.only.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
/** How long to wait for a notification, in milliseconds. Through the gateway some do not come, and each costs this. */
const PATIENCE = { direct: 20_000, gateway: 4000 };

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

/** Whether `value` has everything that `wanted` has. */
function covers(value, wanted) {
    const isObject = one => typeof one === 'object' && one !== null && !Array.isArray(one);
    if (!isObject(value) || !isObject(wanted)) return isDeepStrictEqual(value, wanted);
    return Object.entries(wanted).every(([name, member]) => covers(value[name], member));
}

// --- what is played against -----------------------------------------------------------------------------------------

let configs = 0;

/** A configuration with this server behind the gateway; policy and limit are on, as in the runs of the suite. */
function configOf(reference) {
    configs += 1;
    const file = join(options.out, `gateway-${configs}.yaml`);
    const config = {
        http: { listen: '127.0.0.1:0' },
        policy: { default: 'allow' },
        limits: { calls_per_minute: 1_000_000 },
        servers: { reference }
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
}

/** Starts a program that says on stderr where it listens. */
async function listening([command, ...args], started) {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    started.push(child);
    const lines = [];
    for await (const line of createInterface({ input: child.stderr })) {
        lines.push(line);
        const url = /listening on (http:[^ ]*\/mcp)/.exec(line)?.[1];
        if (url === undefined) continue;
        child.stderr.resume(); // or it stops when the pipe is full
        return url;
    }
    throw new Error(`${command} did not start: ${lines.join(' ')}`);
}

/**
 * The targets of a transport. Not a server of both eras behind the gateway: one that is slow to start is taken for an
 * old one. Each target opens with processes of its own.
 */
function targetsOf(transport) {
    const reference = (...flags) => [process.execPath, server, ...flags];
    const stdio = gateway => async () => {
        if (gateway === undefined) return new StdioClient(reference('--stdio'), PATIENCE.direct);
        const [command, ...args] = reference('--stdio', '--era', gateway);
        return new StdioClient([options.stdio, 'run', '--config', configOf({ command, args })], PATIENCE.gateway);
    };
    const http = gateway => async started => {
        const url = await listening(reference('--era', gateway ?? 'both'), started);
        if (gateway === undefined) return new HttpClient(url, PATIENCE.direct);
        const command = [options.http, 'run', '--config', configOf({ url })];
        return new HttpClient(await listening(command, started), PATIENCE.gateway);
    };
    const of = transport === 'http' ? http : stdio;
    const direct = { where: 'direct', suffix: '', open: of() };
    if (options[transport] === undefined) return [direct];
    return [
        direct,
        { where: 'gateway', suffix: '', open: of('modern') },
        { where: 'gateway', suffix: '@legacy', open: of('legacy') }
    ];
}

// --- playing --------------------------------------------------------------------------------------------------------

/**
 * Plays a scenario; gives back what was seen: check -> `{ value, expected, same }`, where `same` compares with what was
 * seen directly.
 */
async function play(scenario, { open }) {
    const seen = new Map();
    const note = same => (check, value, expected = true) => {
        if (seen.has(check)) throw new Error(`the check ${check} is there twice`);
        seen.set(check, { value: essence(value), expected, same });
    };
    const see = note(isDeepStrictEqual);
    see.atLeast = note(covers);
    const started = [];
    try {
        const client = await open(started);
        try {
            await scenario(client, see);
            see('went-through', true);
        } catch (error) {
            see('went-through', `${error.message} ${error.stack.split('\n')[1]?.trim()}`, false);
        }
        const end = await client.close();
        see('ends-well', end, end === 0);
    } finally {
        for (const child of started) child.kill('SIGKILL');
    }
    return seen;
}

const short = value => (JSON.stringify(value) ?? 'nothing').slice(0, 600);

function checksOf(seen, direct) {
    return [...seen].map(([id, { value, expected, same: compare }]) => {
        const same = direct === seen ? expected : compare(value, direct.get(id)?.value);
        const errorMessage = `it saw ${short(value)}, and directly ${short(direct.get(id)?.value)}`;
        return { id, name: id, status: same ? 'SUCCESS' : 'FAILURE', errorMessage };
    });
}

function write(where, set, scenario, checks) {
    const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const folder = join(options.out, where, set, `server-${scenario}-${time}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'checks.json'), JSON.stringify(checks, null, 2));
}

const queue = [];
for (const transport of ['http', 'stdio']) {
    const targets = targetsOf(transport);
    for (const [revision, scenarios] of Object.entries(SETS)) {
        const set = `${transport}-${revision}`;
        const wanted = Object.entries(scenarios).filter(([name]) => only.test(name));
        queue.push(...wanted.map(([name, scenario]) => ({ set, name, scenario, targets })));
    }
}

/** Plays what is left in the queue, everywhere at once. */
async function work() {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { set, name, scenario, targets } = next;
        const seen = await Promise.all(targets.map(target => play(scenario, target)));
        targets.forEach(({ where, suffix }, at) => write(where, set + suffix, name, checksOf(seen[at], seen[0])));
    }
}

mkdirSync(options.out, { recursive: true });
await Promise.all(Array.from({ length: AT_ONCE }, work));
process.exit(0);
