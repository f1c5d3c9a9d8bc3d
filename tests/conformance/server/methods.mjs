// What each method does, in both eras.

import { Context, isLevel, ToolFailure } from './context.mjs';
import {
    complete, promptDefinition, readResource, RESOURCES, TEMPLATES, toolDefinition
} from './fixtures.mjs';
import {
    CODE, checkModernVersion, InputRequired, invalidParams, isObject, K, modernMeta, notification, RpcError,
    SERVER_INFO, TASKS
} from './wire.mjs';

const CAPABILITIES = {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true },
    completions: {},
    logging: {}
};
const INSTRUCTIONS = 'Fixtures for the conformance suite.';
/** How long a client may keep what it was told. */
const CACHE = { ttlMs: 1000, cacheScope: 'public' };

function text(params, member) {
    if (typeof params[member] === 'string') return params[member];
    throw invalidParams(`Invalid params: ${member} is missing or not a string`);
}

function args(params) {
    const given = params.arguments ?? {};
    if (isObject(given)) return given;
    throw invalidParams('Invalid params: arguments is not an object');
}

function onePage(params) {
    if (params.cursor !== undefined) throw invalidParams('Invalid params: there is no such cursor');
}

async function callTool(params, ctx) {
    const tool = ctx.world.tools.get(text(params, 'name'));
    if (tool === undefined) throw invalidParams(`Unknown tool: ${params.name}`);
    const given = args(params);
    const missing = (tool.inputSchema?.required ?? []).filter(name => !(name in given));
    try {
        if (missing.length > 0) throw new ToolFailure(`Missing arguments: ${missing.join(', ')}`);
        return await tool.call(given, ctx);
    } catch (error) {
        if (error instanceof ToolFailure) return error.result;
        throw error;
    }
}

async function getPrompt(params, ctx) {
    const prompt = ctx.world.prompts.get(text(params, 'name'));
    if (prompt === undefined) throw invalidParams(`Unknown prompt: ${params.name}`);
    const given = args(params);
    const missing = (prompt.arguments ?? []).find(({ name }) => !(name in given));
    if (missing !== undefined) throw invalidParams(`Missing argument: ${missing.name}`);
    try {
        return await prompt.get(given, ctx);
    } catch (error) {
        throw error instanceof ToolFailure ? invalidParams(error.message) : error;
    }
}

function read(params, ctx) {
    const uri = text(params, 'uri');
    const contents = readResource(uri, ctx.world);
    if (contents !== undefined) return { contents: [contents], ...CACHE };
    throw new RpcError(ctx.modern ? CODE.invalidParams : CODE.legacyNotFound, 'Resource not found', { uri });
}

function completion({ ref, argument }) {
    if (!isObject(ref) || !isObject(argument)) throw invalidParams('Invalid params: ref or argument is missing');
    text(argument, 'name');
    const values = complete(ref, text(argument, 'value'));
    if (values === undefined) throw invalidParams('Invalid params: nothing of that reference can be completed');
    return { completion: { values, total: values.length, hasMore: false } };
}

/** What both eras have. */
const COMMON = {
    'tools/list': (params, { world }) => (onePage(params), { tools: [...world.tools].map(toolDefinition), ...CACHE }),
    'tools/call': callTool,
    'prompts/list': (params, { world }) =>
        (onePage(params), { prompts: [...world.prompts].map(promptDefinition), ...CACHE }),
    'prompts/get': getPrompt,
    'resources/list': params => (onePage(params), { resources: RESOURCES, ...CACHE }),
    'resources/templates/list': params => (onePage(params), { resourceTemplates: TEMPLATES, ...CACHE }),
    'resources/read': read,
    'completion/complete': completion
};

function task(params, ctx) {
    ctx.require({ extensions: { [TASKS]: {} } });
    return ctx.world.tasks.find(text(params, 'taskId'));
}

const MODERN_METHODS = {
    ...COMMON,
    'server/discover': (_, { world }) => ({
        supportedVersions: world.versions,
        capabilities: { ...CAPABILITIES, extensions: { [TASKS]: {} } },
        instructions: INSTRUCTIONS,
        ...CACHE
    }),
    'tasks/get': (params, ctx) => task(params, ctx).details(),
    'tasks/update': (params, ctx) => {
        const found = task(params, ctx);
        if (!isObject(params.inputResponses)) throw invalidParams('Invalid params: inputResponses is not an object');
        found.answer(params.inputResponses);
        return {};
    },
    'tasks/cancel': (params, ctx) => {
        task(params, ctx).cancel();
        return {};
    },
    'subscriptions/listen': listen
};

/** Stays until the exchange ends, and then says goodbye if the server ended it. */
async function listen(params, ctx) {
    const { exchange } = ctx;
    const asked = params.notifications;
    if (!isObject(asked)) throw invalidParams('Invalid params: notifications is not an object');
    const accepted = {};
    for (const member of ['toolsListChanged', 'promptsListChanged']) {
        if (asked[member] === true) accepted[member] = true;
    }
    for (const member of ['resourceSubscriptions', 'taskIds']) {
        if (asked[member] === undefined) continue;
        if (!Array.isArray(asked[member])) throw invalidParams(`Invalid params: ${member} is not a list`);
        accepted[member] = asked[member];
    }
    if (accepted.taskIds !== undefined) ctx.require({ extensions: { [TASKS]: {} } });
    const tag = { _meta: { [`${K}subscriptionId`]: exchange.id } };
    const tell = (method, more) => exchange.send(notification(method, { ...tag, ...more }));
    tell('notifications/subscriptions/acknowledged', { notifications: accepted });
    const stop = ctx.world.listen(({ kind, uri, task: changed }) => {
        if (accepted[`${kind}ListChanged`]) tell(`notifications/${kind}/list_changed`);
        if (kind === 'resource' && accepted.resourceSubscriptions?.includes(uri)) {
            tell('notifications/resources/updated', { uri });
        }
        if (kind === 'task' && accepted.taskIds?.includes(changed.id)) tell('notifications/tasks', changed.details());
    });
    await exchange.ended;
    stop();
    return tag;
}

/** What a modern result has beside its payload. */
const finished = result => ({
    resultType: 'complete',
    ...result,
    _meta: { ...result._meta, [`${K}serverInfo`]: SERVER_INFO }
});

/** Answers a modern request. `check(meta)` is what the transport has to say against it. */
export async function answerModern(world, message, exchange, check = () => {}) {
    const params = message.params ?? {};
    const meta = modernMeta(params);
    check(meta);
    checkModernVersion(meta.version, world.versions);
    const run = Object.hasOwn(MODERN_METHODS, message.method) ? MODERN_METHODS[message.method] : undefined;
    if (run === undefined) {
        throw new RpcError(CODE.methodNotFound, `Method not found: ${message.method}`, undefined, 404);
    }
    const ctx = new Context({
        world, client: meta, method: message.method, params, exchange, progressToken: meta.progressToken
    });
    try {
        return finished(await run(params, ctx));
    } catch (error) {
        if (error instanceof InputRequired) return finished(error.result);
        throw error;
    }
}

const LEGACY_METHODS = {
    ...COMMON,
    initialize: (_, { client }) => ({
        protocolVersion: client.version,
        capabilities: CAPABILITIES,
        serverInfo: SERVER_INFO,
        instructions: INSTRUCTIONS
    }),
    ping: () => ({}),
    'logging/setLevel': ({ level }, { client }) => {
        if (!isLevel(level)) throw invalidParams('Invalid params: there is no such level');
        client.logLevel = level;
        return {};
    },
    'resources/subscribe': (params, { client }) => {
        client.subscriptions.add(text(params, 'uri'));
        return {};
    },
    'resources/unsubscribe': (params, { client }) => {
        client.subscriptions.delete(text(params, 'uri'));
        return {};
    }
};

/** Answers a request of the session `client`. */
export async function answerLegacy(world, client, { method, params = {} }, exchange) {
    const run = Object.hasOwn(LEGACY_METHODS, method) ? LEGACY_METHODS[method] : undefined;
    if (run === undefined) throw new RpcError(CODE.methodNotFound, `Method not found: ${method}`);
    const ctx = new Context({ world, client, method, params, exchange, progressToken: params._meta?.progressToken });
    const { ttlMs, cacheScope, ...result } = await run(params, ctx);
    return result;
}
