#!/usr/bin/env node
// Compares what the conformance suite found directly at a server with what it found through the gateway.
//
//   node compare.mjs --direct DIR [--gateway DIR] [--known FILE] [--only PATTERN] [--bless]
//
// DIR holds a folder for each set, with the folders that the suite's `-o` wrote. Checks are compared one by one: one
// that succeeds directly and not through the gateway is a loss, and so is one that fails through the gateway alone.
// Losses that FILE lists are known (`set scenario check # reason`); one that it lists and that does not occur is stale.
// --bless writes the losses into FILE. Ends with the line "N passed, N failed", where N counts scenarios.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
    options: {
        direct: { type: 'string' },
        gateway: { type: 'string' },
        known: { type: 'string' },
        only: { type: 'string', default: '*' },
        bless: { type: 'boolean', default: false }
    }
});

/** What the gateway answers itself: here nothing may fail, whatever the server behind it does. */
const OWN = [
    'dns-rebinding-protection', 'server-session-lifecycle', 'http-header-validation',
    'http-custom-header-server-validation', 'server-stateless', 'caching'
];
/** What cannot be had through the gateway: a server of old revisions has no tasks. */
const impossible = (set, scenario) => set.endsWith('@legacy') && /^(play-)?tasks?(-|$)/.test(scenario);
/** A reason that --bless writes, and that nobody has replaced yet. */
const NO_REASON = '?';

const failing = status => status === 'FAILURE' || status === 'WARNING';

/** The checks of one run: set -> scenario -> list. */
function readRun(dir) {
    const run = new Map();
    for (const set of readdirSync(dir).sort()) {
        const scenarios = new Map();
        for (const folder of readdirSync(join(dir, set)).sort()) {
            const scenario = /^server-(.*)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(folder)?.[1];
            if (scenario === undefined) throw new Error(`${dir}/${set}/${folder}: not a result of the suite`);
            scenarios.set(scenario, JSON.parse(readFileSync(join(dir, set, folder, 'checks.json'), 'utf8')));
        }
        run.set(set, scenarios);
    }
    return run;
}

/**
 * Checks by their label: the id, and the name too where several checks of the scenario share the id.
 * A label may still have several checks, one for each time that the suite looked.
 */
function byLabel(checks, others) {
    const names = new Map();
    for (const { id, name } of [...checks, ...others]) names.set(id, (names.get(id) ?? new Set()).add(name));
    const labelled = new Map();
    for (const check of checks) {
        const label = names.get(check.id).size === 1 ? check.id : `${check.id}/${check.name}`;
        labelled.set(label, [...(labelled.get(label) ?? []), check]);
    }
    return labelled;
}

/** The losses of a scenario: label -> what the gateway made of it. */
function lossesOf(scenario, direct, gateway) {
    const before = byLabel(direct, gateway);
    const after = byLabel(gateway, direct);
    const losses = new Map();
    const count = (checks = [], wanted) => checks.filter(({ status }) => wanted(status)).length;
    for (const label of new Set([...before.keys(), ...after.keys()])) {
        const [was, is] = [before.get(label), after.get(label)];
        const lost = count(was, status => status === 'SUCCESS') > count(is, status => status === 'SUCCESS');
        const allowed = OWN.includes(scenario) ? 0 : count(was, failing);
        if (!lost && count(is, failing) <= allowed) continue;
        const worst = (is ?? []).find(({ status }) => status !== 'SUCCESS');
        losses.set(label, worst === undefined ? 'missing' : `${worst.status}: ${worst.errorMessage ?? 'no message'}`);
    }
    return losses;
}

function readKnown(file) {
    const head = [];
    const known = new Map();
    for (const line of file === undefined ? [] : readFileSync(file, 'utf8').split('\n')) {
        if (line.trim() === '') continue;
        if (line.startsWith('#')) {
            head.push(line);
            continue;
        }
        const [, set, scenario, label, reason] = /^(\S+) (\S+) (\S+) +# (.+)$/.exec(line) ?? [];
        if (reason === undefined) throw new Error(`${file}: not "set scenario check # reason": ${line}`);
        known.set(`${set} ${scenario} ${label}`, reason);
    }
    return { head, known };
}

/** The pattern of the shell, as far as scenario names need it. */
const only = new RegExp(`^${options.only.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
const wanted = listed => only.test(listed.split(' ')[1]);
const passes = checks => checks.filter(({ status }) => status === 'SUCCESS').length;
const direct = readRun(options.direct);
const gateway = options.gateway === undefined ? undefined : readRun(options.gateway);
const { head, known } = readKnown(options.known);
const complaints = [];
const found = new Set();

/** Looks at one scenario of the gateway; gives back how many checks it lost. */
function judge(key, scenario, before, after) {
    const losses = lossesOf(scenario, before, after);
    for (const [label, what] of losses) {
        found.add(`${key} ${label}`);
        if (!known.has(`${key} ${label}`)) complaints.push(`${key} ${label}: lost: ${what}`);
    }
    for (const [listed, reason] of known) {
        if (!listed.startsWith(`${key} `)) continue;
        if (!found.has(listed)) complaints.push(`${listed}: is listed as lost, and is not lost any more`);
        else if (reason === NO_REASON) complaints.push(`${listed}: is listed without a reason`);
    }
    return losses.size;
}

const row = (name, ...rest) =>
    console.log(`${name.padEnd(64)}${rest.map(text => String(text).padStart(9)).join('')}`);
const totals = [0, 0, 0];
const count = { passed: 0, failed: 0 };
const seen = new Set();

row('set and scenario', 'direct', 'gateway', 'lost');
for (const set of (gateway ?? direct).keys()) {
    for (const [scenario, before] of direct.get(set.split('@')[0])) {
        if (impossible(set, scenario)) continue;
        const key = `${set} ${scenario}`;
        const complained = complaints.length;
        const after = gateway?.get(set).get(scenario) ?? [];
        seen.add(key);
        for (const { id, status, errorMessage } of before) {
            if (failing(status)) complaints.push(`${key} ${id}: ${status} at the reference server: ${errorMessage}`);
        }
        const lost = gateway === undefined ? 0 : judge(key, scenario, before, after);
        count[complaints.length === complained ? 'passed' : 'failed'] += 1;
        const numbers = [passes(before), passes(after), lost];
        numbers.forEach((number, at) => { totals[at] += number; });
        row(key, ...numbers.map(number => number || '-'));
    }
}
row('all', ...totals);
for (const listed of known.keys()) {
    if (gateway === undefined || seen.has(listed.split(' ', 2).join(' ')) || !wanted(listed)) continue;
    complaints.push(`${listed}: is listed as lost, and there is no such scenario`);
    count.failed += 1;
}

if (options.bless && gateway !== undefined) {
    const kept = [...known].filter(([listed]) => !wanted(listed));
    const lost = [...found].map(listed => [listed, known.get(listed) ?? NO_REASON]);
    const lines = [...kept, ...lost].sort().map(([listed, reason]) => `${listed} # ${reason}`);
    writeFileSync(options.known, `${[...head, ...lines].join('\n')}\n`);
    console.log(`${lines.length} known losses are listed in ${options.known}`);
    process.exit(0);
}
if (count.passed + count.failed === 0) console.log(`FAIL no scenario is called ${options.only}`);
for (const complaint of complaints) console.log(`FAIL ${complaint}`);
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
