// The checks that every Node client runs, and the command line they share. A driver brings an adapter:
//
//   name, eras            what it is called; which --era values it speaks
//   connect({ era, http, command, args, bearer, onStderr, onNotice }) -> connection with
//     version(), info(), capabilities()
//     listTools(), callTool(params, { signal, onprogress }), ping()
//     listPrompts(), getPrompt(params), listResources(), readResource(params)
//     rpcCode(error)      the JSON-RPC code of an error that came over the wire, else undefined
//     onWire(callback)    callback gets every message that comes in from now on, before the SDK does
//     endSession(), close(), pid()

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual, parseArgs } from 'node:util';

export const MODERN = '2026-07-28';

const USAGE = `usage: DRIVER (--http URL | --stdio -- COMMAND [ARG...]) [options]
  --era legacy|auto|modern      how the client opens the connection (default legacy)
  --expect-version VERSION      the protocol version that must be agreed on
  --expect-tools N              the number of tools that must be listed
  --unknown-tool ANSWER         what calling a tool that does not exist must give: "result" (isError),
  --bad-arguments ANSWER        "error:CODE" (JSON-RPC), or "any" of them (default); the same for bad arguments
  --after-cancel quiet|any      "quiet": no progress of a cancelled call may arrive later (default any)
  --on-close leaves|any         "leaves": a stdio server must go by itself when its stdin closes (default any)
  --suite NAME                  what is checked: a server of tools ("tools", the default), or the tools for an admin API
                                ("api7", "apisix", "konnect", "kong")
  --admin URL                   where admin.mjs is, for the suites of admin APIs
  --elicit                      the client can ask its user
  --secret TEXT                 what must not be on the stderr of a stdio server
  --bearer KEY                  sent as "Authorization: Bearer KEY" over HTTP
  --watchdog SECONDS            give up after this long (default 60)`;

function commandLine(eras) {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: {
            http: { type: 'string' },
            stdio: { type: 'boolean', default: false },
            era: { type: 'string', default: 'legacy' },
            suite: { type: 'string', default: 'tools' },
            admin: { type: 'string' },
            secret: { type: 'string' },
            elicit: { type: 'boolean', default: false },
            bearer: { type: 'string' },
            'expect-version': { type: 'string' },
            'expect-tools': { type: 'string' },
            'unknown-tool': { type: 'string', default: 'any' },
            'bad-arguments': { type: 'string', default: 'any' },
            'after-cancel': { type: 'string', default: 'any' },
            'on-close': { type: 'string', default: 'any' },
            watchdog: { type: 'string', default: '60' }
        }
    });
    const [command, ...args] = positionals;
    if (values.stdio === (values.http !== undefined)) throw new Error('give either --http or --stdio');
    if (values.stdio && command === undefined) throw new Error('--stdio needs -- COMMAND');
    const suites = ['tools', 'api7', 'apisix', 'konnect', 'kong'];
    if (!suites.includes(values.suite)) throw new Error(`--suite must be one of ${suites.join(', ')}`);
    if (!eras.includes(values.era)) throw new Error(`--era must be one of ${eras.join(', ')}`);
    if (!(Number(values.watchdog) > 0)) throw new Error('--watchdog must be a number of seconds');
    return { ...values, command, args };
}

/** Who sits in front of a client that can ask: gives the answer that is set, and remembers what was asked. */
class Person {
    asked = [];
    answer = { action: 'cancel' };

    asks(params) {
        this.asked.push(params);
        return this.answer;
    }
}

/** Runs checks one after the other and counts. A failed check does not stop the ones after it. */
class Checklist {
    passed = 0;
    failed = 0;
    current = 'start';

    async check(title, run) {
        this.current = title;
        try {
            const note = await run();
            this.passed += 1;
            console.log(`ok ${title}${note === undefined ? '' : ` (${note})`}`);
            return true;
        } catch (error) {
            this.fail(title, error);
            return false;
        }
    }

    fail(title, error) {
        this.failed += 1;
        const why = String(error?.message ?? error).replaceAll('\n', '\n#   ');
        console.log(`not ok ${title}: ${why}`);
    }

    finish() {
        console.log(`${this.passed} passed, ${this.failed} failed`);
        return this.failed === 0 ? 0 : 1;
    }
}

export function holds(condition, why) {
    if (!condition) throw new Error(why);
}

/** Like assert.deepStrictEqual, but says what differs in one line of JSON: logs are read line by line. */
export function same(actual, expected, what = 'value') {
    if (isDeepStrictEqual(actual, expected)) return;
    const show = value => String(JSON.stringify(value)).slice(0, 500);
    throw new Error(`${what}: expected ${show(expected)}, got ${show(actual)}`);
}

export const textOf = result => result.content?.map(part => part.text).join('');
const echo = (connection, message) => connection.callTool({ name: 'echo', arguments: { message } });
const LONG = 'trigger-long-running-operation';

async function echoes(connection, message) {
    const result = await echo(connection, message);
    same(textOf(result), `Echo: ${message}`);
    holds(!result.isError, 'isError is set');
}

/** Waits until `condition` holds; fails with `why` after `ms`. */
export async function until(condition, ms, why) {
    const end = Date.now() + ms;
    while (!(await condition())) {
        if (Date.now() > end) throw new Error(why());
        await new Promise(resolve => setTimeout(resolve, 25));
    }
}

function alive(pid) {
    try {
        process.kill(pid, 0);
        return true;
    } catch {
        return false;
    }
}

/** Says how a call failed: "result" (isError), "error:CODE", or throws when it did not, or not readably. */
async function failure(connection, call) {
    let result;
    try {
        result = await call;
    } catch (error) {
        const code = connection.rpcCode(error);
        if (code === undefined) throw new Error(`not a JSON-RPC error: ${error.constructor.name}: ${error.message}`);
        holds(error.message.length > 0, 'the error has no message');
        return { answer: `error:${code}`, message: error.message };
    }
    holds(result.isError === true, `expected a failure, got ${JSON.stringify(result)}`);
    holds(textOf(result).length > 0, 'the isError result has no text');
    return { answer: 'result', message: textOf(result) };
}

export async function fails(connection, call, expected) {
    const { answer, message } = await failure(connection, call);
    if (expected !== 'any') same(answer, expected, `answer ${JSON.stringify(message)}`);
    return `${answer}: ${message.split('\n')[0].slice(0, 100)}`;
}

/** What came in on the wire, with the time. */
class Wire {
    messages = [];

    constructor(connection) {
        connection.onWire(message => this.messages.push({ message, at: Date.now() }));
    }

    get progress() {
        return this.messages
            .map(({ message, at }, index) => ({ ...message.params, method: message.method, at, index }))
            .filter(({ method }) => method === 'notifications/progress');
    }

    /** Where the result with this text is, or -1. */
    result(text) {
        return this.messages.findIndex(({ message }) => message.result?.content?.[0]?.text === text);
    }
}

/**
 * Runs a long operation and checks its progress. The number of steps must be one that no other call of this run uses:
 * it tells whose progress is whose.
 *
 * The wire is checked and not only the callback, because both SDKs forget the callback as soon as they read the result,
 * and so lose a last notification that was read in the same go.
 */
async function followsProgress(connection, wire, { duration, steps }) {
    const called = [];
    const onprogress = ({ progress, total }) => called.push([progress, total]);
    const result = await connection.callTool({ name: LONG, arguments: { duration, steps } }, { onprogress });
    const text = `Long running operation completed. Duration: ${duration} seconds, Steps: ${steps}.`;
    same(textOf(result), text);

    const expected = Array.from({ length: steps }, (_, index) => [index + 1, steps]);
    const mine = wire.progress.filter(({ total }) => total === steps);
    same(mine.map(({ progress, total }) => [progress, total]), expected, 'progress on the wire');
    same(new Set(mine.map(({ progressToken }) => progressToken)).size, 1, 'the token changed on the way');
    holds(mine.at(-1).index < wire.result(text), 'progress came after the result');

    same(called, expected.slice(0, called.length), 'progress told to the caller');
    holds(called.length >= steps - 1, `the caller was told of ${called.length} steps out of ${steps}`);
    return called.length === steps ? undefined : 'the SDK dropped the last step, which came together with the result';
}

async function runChecks(list, connection, options) {
    let tools = [];
    const has = name => tools.some(tool => tool.name === name);
    const capabilities = connection.capabilities() ?? {};
    const wire = new Wire(connection);

    await list.check('lists its tools, all pages, each name once', async () => {
        tools = await connection.listTools();
        const names = tools.map(tool => tool.name);
        same(names, [...new Set(names)], 'a name is listed twice');
        for (const name of ['echo', 'get-structured-content', LONG]) holds(has(name), `${name} is missing in ${names}`);
        for (const tool of tools) same(tool.inputSchema?.type, 'object', `inputSchema of ${tool.name}`);
        const expected = options['expect-tools'];
        if (expected !== undefined) same(names.length, Number(expected), `tools: ${names}`);
        return `${names.length} tools`;
    });

    await list.check('lists the same tools again in the same order', async () => {
        const again = await connection.listTools();
        same(again.map(tool => tool.name), tools.map(tool => tool.name));
    });

    await list.check('calls a tool', () => echoes(connection, 'hello'));

    await list.check('carries a long text of all kinds of characters', async () => {
        const message = 'a "quoted" \\ line\r\n\tnull\u0000 Zürich 東京 🦀 \u2028 '.repeat(4000);
        await echoes(connection, message);
        return `${message.length} characters`;
    });

    await list.check('gets structured content that fits its output schema', async () => {
        const tool = tools.find(tool => tool.name === 'get-structured-content');
        same(tool?.outputSchema?.type, 'object', 'the tool lists no outputSchema');
        const result = await connection.callTool({ name: tool.name, arguments: { location: 'Chicago' } });
        const weather = { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 };
        same(result.structuredContent, weather);
        same(JSON.parse(textOf(result)), weather);
    });

    const tag = randomUUID();
    let cancelled;
    await list.check('cancels a call after its first progress, long before it would end', async () => {
        const abort = new AbortController();
        let abortedAt;
        const args = { duration: 30, steps: 300, ...(has('count-cancelled') && { tag }) };
        const onprogress = () => {
            abortedAt ??= Date.now();
            abort.abort(new Error('changed my mind'));
        };
        const outcome = await connection
            .callTool({ name: LONG, arguments: args }, { signal: abort.signal, onprogress })
            .then(result => ({ result }), error => ({ error }));
        holds(abort.signal.aborted, `it ended before any progress: ${outcome.error ?? JSON.stringify(outcome.result)}`);
        holds(outcome.error !== undefined, `it gave a result all the same: ${JSON.stringify(outcome.result)}`);
        const took = Date.now() - abortedAt;
        holds(took < 3000, `the call ended only ${took} ms after the abort`);
        cancelled = { token: wire.progress[0].progressToken, at: abortedAt };
        return `${outcome.error.constructor.name}: ${outcome.error.message}`;
    });

    await list.check('calls a tool on the same connection after the cancel', () => echoes(connection, 'still here'));

    await list.check('gets every step of progress, in order, before the result', () =>
        followsProgress(connection, wire, { duration: 0.5, steps: 5 })
    );

    await list.check('keeps the progress of two calls at the same time apart', async () => {
        const runs = [{ duration: 0.4, steps: 4 }, { duration: 0.4, steps: 8 }];
        await Promise.all(runs.map(args => followsProgress(connection, wire, args)));
    });

    if (has('count-cancelled')) {
        await list.check('the cancel reached the server that runs the tool', async () => {
            let count;
            const arrived = async () => {
                count = textOf(await connection.callTool({ name: 'count-cancelled', arguments: { tag } }));
                return count === '1';
            };
            await until(arrived, 5000, () => `the server counts ${count} cancels, not 1`);
        });
    }

    if (has('where')) {
        await list.check('mirrors an argument into a header', async () => {
            for (const region of ['eu-west1', 'Zürich 東京', ' padded ']) {
                const result = await connection.callTool({ name: 'where', arguments: { region } });
                same(textOf(result), `Region: ${region}`);
            }
        });
    }

    if (has('numbers')) {
        await list.check('gets values and foreign _meta unchanged', async () => {
            const tool = tools.find(tool => tool.name === 'numbers');
            same(tool._meta?.['example.test/colour'], 'teal', '_meta of the tool');
            const { structuredContent } = await connection.callTool({ name: 'numbers', arguments: {} });
            same(structuredContent, { big: 9007199254740991, small: 1e-7, none: null, list: [0, -1] });
        });
    }

    await list.check('an unknown tool fails readably', () => {
        const call = connection.callTool({ name: 'no-such-tool', arguments: {} });
        return fails(connection, call, options['unknown-tool']);
    });

    await list.check('bad arguments fail readably', () => {
        const call = connection.callTool({ name: 'echo', arguments: { message: 7 } });
        return fails(connection, call, options['bad-arguments']);
    });

    await list.check('20 calls at once come back to their callers', async () => {
        await Promise.all(Array.from({ length: 20 }, (_, index) => echoes(connection, `call ${index}`)));
    });

    if (capabilities.prompts) {
        await list.check('lists prompts and gets one', async () => {
            const prompts = await connection.listPrompts();
            const prompt = prompts[0];
            holds(prompt, 'no prompts');
            const args = Object.fromEntries((prompt.arguments ?? []).map(({ name }) => [name, 'somebody']));
            const { messages } = await connection.getPrompt({ name: prompt.name, arguments: args });
            holds(messages.length > 0, `${prompt.name} has no messages`);
            return `${prompts.length} prompts, got ${prompt.name}`;
        });
    }

    if (capabilities.resources) {
        await list.check('lists resources and reads one', async () => {
            const resources = await connection.listResources();
            const resource = resources[0];
            holds(resource, 'no resources');
            const { contents } = await connection.readResource({ uri: resource.uri });
            same(contents[0]?.uri, resource.uri);
            holds((contents[0].text ?? contents[0].blob ?? '').length > 0, 'no contents');
            return `${resources.length} resources, read ${resource.uri}`;
        });

        await list.check('an unknown resource fails readably', () =>
            fails(connection, connection.readResource({ uri: 'demo://no/such/resource' }), 'any')
        );
    }

    if (cancelled !== undefined) {
        await list.check('hears nothing more of the cancelled call', () => {
            // What was on its way when the call was cancelled may still arrive.
            const mine = wire.progress.filter(({ progressToken }) => progressToken === cancelled.token);
            const late = mine.filter(({ at }) => at > cancelled.at + 250);
            if (options['after-cancel'] === 'quiet') same(late.length, 0, 'messages after the cancel');
            else if (late.length > 0) return `it does: ${late.length} messages`;
        });
    }

    // 2026-07-28 has no ping.
    if (connection.version() !== MODERN) await list.check('answers a ping', async () => void (await connection.ping()));
}

async function closeChecks(list, connection, options) {
    if (options.http !== undefined && connection.version() !== MODERN) {
        await list.check('ends its session', () => connection.endSession());
    }
    await list.check('closes', async () => {
        const pid = connection.pid();
        const start = Date.now();
        await connection.close();
        if (pid === undefined) return;
        await until(() => !alive(pid), 1000, () => `process ${pid} is still there`);
        // The SDK closes stdin, and sends SIGTERM when the process has not gone after 2 s.
        const took = Date.now() - start;
        if (options['on-close'] === 'leaves') {
            holds(took < 1900, `it had to be killed: it stayed ${took} ms after its stdin closed`);
        }
        return `${took} ms`;
    });
}

/** What a driver calls: runs the whole list and exits. */
export async function main({ name, eras, connect }) {
    let options;
    try {
        options = commandLine(eras);
    } catch (error) {
        console.error(`${error.message}\n${USAGE}`);
        process.exit(2);
    }

    // It imports from here.
    const suite = options.suite === 'tools' ? runChecks : (await import(`./suite-${options.suite}.mjs`)).runChecks;
    const list = new Checklist();
    const notices = new Map();
    const stderr = [];
    const person = options.elicit ? new Person() : undefined;
    let connection;
    const leave = code => {
        for (const [notice, count] of notices) console.log(`# the client noticed ${count}x: ${notice}`);
        if (code !== 0) for (const line of stderr.slice(-40)) console.log(`# server stderr: ${line}`);
        process.exitCode = list.finish() || code;
        // exit() may drop what a pipe has not taken yet.
        process.stdout.write('', () => process.exit());
    };
    setTimeout(() => {
        list.fail(list.current, `gave up: still not done when the watchdog bit after ${options.watchdog} s`);
        if (connection?.pid() !== undefined && alive(connection.pid())) process.kill(connection.pid(), 'SIGKILL');
        leave(1);
    }, Number(options.watchdog) * 1000);
    process.on('unhandledRejection', error => list.fail('nothing fails behind our back', error));

    const where = options.http ?? [options.command, ...options.args].join(' ');
    console.log(`# ${name}, era ${options.era}, ${options.stdio ? 'stdio' : 'http'}: ${where}`);
    const connected = await list.check('connects', async () => {
        connection = await connect({
            ...options,
            person,
            onStderr: line => stderr.push(line),
            onNotice: message => {
                const [notice] = message.split(': {'); // without the message it is about
                notices.set(notice, (notices.get(notice) ?? 0) + 1);
            }
        });
        const version = connection.version();
        if (options['expect-version'] !== undefined) same(version, options['expect-version'], 'version');
        if (options.era === 'legacy') holds(version !== MODERN, `a legacy client was given ${version}`);
        if (options.era === 'modern') same(version, MODERN, 'version');
        return `${version}, server ${connection.info()?.name} ${connection.info()?.version}`;
    });
    if (connected) {
        await suite(list, connection, { ...options, person });
        await closeChecks(list, connection, options);
        if (options.secret !== undefined && options.stdio) {
            await list.check('the secret is in no line of the log', () => {
                const line = stderr.find(line => line.includes(options.secret));
                same(line, undefined, 'the line');
                return `${stderr.length} lines`;
            });
        }
    }
    leave(list.failed === 0 ? 0 : 1);
}

/** Turns a stream of bytes into calls with one line each. */
export function eachLine(stream, onLine) {
    let rest = '';
    stream?.on('data', chunk => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop();
        lines.forEach(onLine);
    });
}

/** Shows each message that `transport` receives to `callback` before the SDK gets it. */
export function tap(transport, callback) {
    const { onmessage } = transport;
    transport.onmessage = (message, ...rest) => {
        callback(message);
        onmessage(message, ...rest);
    };
}
