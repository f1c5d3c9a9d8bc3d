// What a client of 2026-07-28 does: scenario -> async (client, see).

import { K, TASKS } from '../server/wire.mjs';
import { ACCEPTED, ASKING, cancelling, EVERYTHING, plain, progress, together, unordered } from './both.mjs';
import { modernMeta } from './client.mjs';

const WITH_TASKS = { ...EVERYTHING, extensions: { [TASKS]: {} } };

/** A scenario in which each request declares these capabilities. It begins when the server answers. */
const declaring = (scenario, capabilities = {}) => async (client, see) => {
    client.meta = modernMeta(capabilities);
    await client.request('server/discover');
    await scenario(client, see);
};

async function discovery(client, see) {
    const { result } = await client.request('server/discover');
    const newest = result?.supportedVersions?.includes('2026-07-28');
    see('version', newest, newest);
    for (const name of ['tools', 'prompts', 'resources', 'completions', 'logging', 'extensions']) {
        // The gateway finds out for itself when a list is another, and tells of it whatever the server does.
        see.atLeast(`capability-${name}`, result?.capabilities[name], result?.capabilities[name] !== undefined);
    }
    const unknown = await client.request('tools/list', {}, { [`${K}protocolVersion`]: '2999-01-01' });
    see('unknown-version', unknown.error?.code, unknown.error?.code === -32022);
    const listed = unknown.error?.data?.supported?.toSorted().join() === result?.supportedVersions?.toSorted().join();
    see('versions-with-it', listed, listed);
    const bare = await client.request('tools/list', {}, { [`${K}clientCapabilities`]: undefined });
    see('no-capabilities', bare.error?.code, bare.error?.code === -32602);
    for (const method of ['ping', 'initialize', 'logging/setLevel', 'resources/subscribe']) {
        const { error } = await client.request(method);
        see(`removed-${method.replace('/', '-')}`, error?.code, error?.code === -32601);
    }
}

async function logging(client, see) {
    see('answer', await client.call('test_tool_with_logging', {}, {}, { [`${K}logLevel`]: 'info' }));
    const messages = await client.noticed('notifications/message', 3);
    see('three-messages', messages, messages.length === 3);
    await client.call('test_tool_with_logging', {}, {}, { [`${K}logLevel`]: 'error' });
    await client.call('test_tool_with_logging');
    see('none-that-nobody-wants', client.notices.filter(({ method }) => method === 'notifications/message'));
}

/**
 * Answers `input_required` results until there is another. What was asked is one check, in how many rounds another, and
 * under which keys a third.
 */
async function rounds(client, see, check, method, params) {
    let answer = await client.request(method, params);
    const asked = [];
    const form = [];
    const keys = [];
    while (form.length < 5 && answer.result?.resultType === 'input_required') {
        const { inputRequests = {}, requestState } = answer.result;
        asked.push(...Object.values(inputRequests));
        keys.push(Object.keys(inputRequests));
        form.push({ questions: keys.at(-1).length, requestState: typeof requestState });
        const inputResponses = Object.fromEntries(
            Object.entries(inputRequests).map(([key, request]) => [key, ACCEPTED[request.method](request.params)])
        );
        const state = requestState === undefined ? {} : { requestState };
        answer = await client.request(method, { ...params, inputResponses, ...state });
    }
    see(`${check}-asks`, unordered(asked), asked.length > 0);
    see(`${check}-rounds`, form);
    see(`${check}-keys`, keys);
    see(`${check}-answers`, answer, answer.result?.resultType === 'complete' && answer.result.isError === undefined);
}

async function questions(client, see) {
    for (const [name, args] of Object.entries(ASKING)) {
        await rounds(client, see, name, 'tools/call', { name, arguments: args });
    }
    await rounds(client, see, 'prompt', 'prompts/get', { name: 'test_input_required_result_prompt' });
}

/** Has the client asked; gives back under which key, and what it brings back with an answer. */
async function askedBy(client, name) {
    const { result } = await client.call(name);
    const { inputRequests = {}, requestState } = result ?? {};
    const [key = 'none'] = Object.keys(inputRequests);
    return { key, more: requestState === undefined ? {} : { requestState } };
}

async function hostileAnswers(client, see) {
    const name = 'test_input_required_result_elicitation';
    const asked = await askedBy(client, name);
    const answering = (inputResponses, { more }) => ({ inputResponses, ...more });
    see('declined', await client.call(name, {}, answering({ [asked.key]: { action: 'decline' } }, asked)));
    const other = await askedBy(client, name);
    const again = await client.call(name, {}, answering({ other: { action: 'decline' } }, other));
    const repeated = Object.values(again.result?.inputRequests ?? {});
    see('asked-again', { type: again.result?.resultType, repeated }, repeated.length === 1);
    const odd = { 'a-number': { user_name: 5 }, nothing: null, 'a-list': [] };
    for (const [check, inputResponses] of Object.entries(odd)) {
        const { error } = await client.call(name, {}, { inputResponses });
        see(`answers-with-${check}`, error?.code, error?.code === -32602);
    }
    const stateful = 'test_input_required_result_tampered_state';
    const { key, more } = await askedBy(client, stateful);
    const state = more.requestState ?? '';
    const confirmed = { inputResponses: { [key]: { action: 'accept', content: { ok: true } } } };
    for (const [check, requestState] of Object.entries({
        longer: `${state}x`, shorter: state.slice(0, -1), empty: '', 'a-number': 5, made: 'e30.AAAA'
    })) {
        const { error } = await client.call(stateful, {}, { ...confirmed, requestState });
        see(`state-that-is-${check}`, error?.code, error?.code === -32602);
    }
    const elsewhere = await client.call('test_input_required_result_request_state', {}, {
        ...confirmed, requestState: state
    });
    see('state-of-another-tool', elsewhere.error?.code, elsewhere.error?.code === -32602);
    see('state-as-it-was', await client.call(stateful, {}, { ...confirmed, requestState: state }));
}

async function noCapability(client, see) {
    const { error } = await client.call('test_missing_capability');
    see('refused', { code: error?.code, data: error?.data }, error?.code === -32021);
    const withIt = modernMeta({ sampling: {} });
    see('declared', await client.call('test_missing_capability', {}, {}, withIt));
    const asked = await client.call('test_input_required_result_capabilities', {}, {}, withIt);
    const requests = Object.values(asked.result?.inputRequests ?? {});
    see('asks-for-what-is-declared', requests, requests.length === 1);
}

/** Opens a subscription; `told` waits for notifications on it. */
function listen(client, notifications) {
    const { id, answer } = client.begin('subscriptions/listen', { notifications });
    const tag = `${K}subscriptionId`;
    const told = (method, count) => client.noticed(method, count, params => params?._meta?.[tag] === id);
    return { id, answer, told };
}

async function listening(client, see) {
    const uri = 'test://watched-resource';
    const tools = listen(client, { toolsListChanged: true, resourceSubscriptions: [uri] });
    const prompts = listen(client, { promptsListChanged: true });
    for (const [check, { told }] of Object.entries({ tools, prompts })) {
        const acknowledged = await told('notifications/subscriptions/acknowledged');
        see(`${check}-acknowledged`, acknowledged, acknowledged.length === 1);
    }
    const names = async () => (await client.request('tools/list')).result.tools.map(({ name }) => name);
    await names();
    await client.call('test_trigger_tool_change');
    const changed = await tools.told('notifications/tools/list_changed');
    see('tools-changed', changed, changed.length === 1);
    see('tool-added', (await names()).includes('test_extra_tool'));
    await client.call('test_trigger_prompt_change');
    const changedPrompts = await prompts.told('notifications/prompts/list_changed');
    see('prompts-changed', changedPrompts, changedPrompts.length === 1);
    await client.call('test_trigger_resource_update');
    const updated = await tools.told('notifications/resources/updated');
    see('resource-updated', updated, updated.length === 1);
    see('nothing-else', client.notices);
    client.cancel(tools.id);
    await client.call('test_trigger_tool_change');
    await client.request('tools/list');
    see('nothing-after-the-end', client.notices);
    see('no-stray-answers', client.strays);
}

/** Polls a task until its status is not one of these. */
async function poll(client, taskId, ...passing) {
    for (let round = 0; round < 100; round += 1) {
        const answer = await client.request('tasks/get', { taskId });
        if (answer.result === undefined || !passing.includes(answer.result.status)) return answer;
        await new Promise(resolve => { setTimeout(resolve, 20); });
    }
    return { error: { code: 'late', message: 'the task went on and on' } };
}

async function tasks(client, see) {
    const start = async (check, name, args = {}) => {
        const created = await client.call(name, args);
        see(`${check}-created`, created, created.result?.resultType === 'task');
        return created.result?.taskId ?? 'none';
    };
    const computed = await poll(client, await start('compute', 'slow_compute', { seconds: 0.1 }), 'working');
    see('compute-completed', computed, computed.result?.status === 'completed');
    const failing = await poll(client, await start('failing', 'failing_job'), 'working');
    see('failing-completed', failing, failing.result?.result?.isError === true);
    const broken = await poll(client, await start('broken', 'protocol_error_job'), 'working');
    see('broken-failed', broken, broken.result?.status === 'failed');

    const long = await start('long', 'slow_compute', { seconds: 60 });
    see('long-cancel', await client.request('tasks/cancel', { taskId: long }));
    const cancelled = await poll(client, long, 'working');
    see('long-cancelled', cancelled, cancelled.result?.status === 'cancelled');

    const both = await start('both', 'multi_input');
    const waiting = await poll(client, both, 'working');
    see('both-asks', waiting, Object.keys(waiting.result?.inputRequests ?? {}).length === 2);
    const first = { first: { action: 'accept', content: { name: 'Ada' } }, other: {} };
    see('both-first', await client.request('tasks/update', { taskId: both, inputResponses: first }));
    const half = await poll(client, both, 'working');
    see('both-half', half, Object.keys(half.result?.inputRequests ?? {}).join() === 'second');
    const second = { second: { action: 'decline' } };
    see('both-second', await client.request('tasks/update', { taskId: both, inputResponses: second }));
    const done = await poll(client, both, 'working', 'input_required');
    see('both-completed', done, done.result?.status === 'completed');

    for (const method of ['tasks/get', 'tasks/cancel']) {
        const { error } = await client.request(method, { taskId: 'nobody' });
        see(`${method.replace('/', '-')}-unknown`, error?.code, error?.code === -32602);
    }
    for (const method of ['tasks/list', 'tasks/result']) {
        const { error } = await client.request(method, { taskId: 'nobody' });
        see(`${method.replace('/', '-')}-removed`, error?.code, error?.code === -32601);
    }
    const undeclared = modernMeta();
    const refused = await client.request('tasks/get', { taskId: long }, undeclared);
    see('undeclared', { code: refused.error?.code, data: refused.error?.data }, refused.error?.code === -32021);
    see('undeclared-call', await client.call('slow_compute', { seconds: 0.1 }, {}, undeclared));
}

async function taskNotices(client, see) {
    const { result } = await client.call('confirm_delete', { filename: 'a.txt' });
    const taskId = result?.taskId ?? 'none';
    const subscription = listen(client, { taskIds: [taskId] });
    const acknowledged = await subscription.told('notifications/subscriptions/acknowledged');
    see('acknowledged', acknowledged, acknowledged.length === 1);
    const [key] = Object.keys((await poll(client, taskId, 'working')).result?.inputRequests ?? {});
    const inputResponses = { [key]: { action: 'accept', content: { confirm: true } } };
    see('update', await client.request('tasks/update', { taskId, inputResponses }));
    const changes = await subscription.told('notifications/tasks', 2);
    see('completed', changes.at(-1), changes.at(-1)?.status === 'completed');
}

export const MODERN_SCENARIOS = {
    'play-discovery': declaring(discovery),
    'play-plain': declaring(plain),
    'play-together': declaring(together),
    'play-progress': declaring(progress),
    'play-cancelling': declaring(cancelling),
    'play-logging': declaring(logging),
    'play-questions': declaring(questions, EVERYTHING),
    'play-hostile-answers': declaring(hostileAnswers, EVERYTHING),
    'play-no-capability': declaring(noCapability),
    'play-listening': declaring(listening),
    'play-tasks': declaring(tasks, WITH_TASKS),
    'play-task-notices': declaring(taskNotices, WITH_TASKS)
};
