// What a client of 2025-11-25 does: scenario -> async (client, see).

import { ACCEPTED, ASKING, cancelling, EVERYTHING, plain, progress, together, unordered } from './both.mjs';

/** A scenario after the handshake. */
const initialized = (scenario, capabilities) => async (client, see) => {
    await client.initialize(capabilities);
    await scenario(client, see);
};

async function handshake(client, see) {
    const { result } = await client.initialize();
    see('version', result?.protocolVersion, result?.protocolVersion === '2025-11-25');
    for (const name of ['tools', 'prompts', 'resources', 'completions', 'logging']) {
        // The gateway finds out for itself when a list is another, and tells of it whatever the server does.
        see.atLeast(`capability-${name}`, result?.capabilities[name], result?.capabilities[name] !== undefined);
    }
    see('ping', await client.request('ping'));
    const broken = await client.raw('{"jsonrpc":"2.0",');
    see('broken-line', broken?.error?.code, broken?.error?.code === -32700);
    see('goes-on-after-it', await client.request('ping'));
}

async function negotiation(client, see) {
    const { result } = await client.initialize({}, '1999-01-01');
    see('newest-for-an-unknown-version', result?.protocolVersion, result?.protocolVersion === '2025-11-25');
}

async function olderVersion(client, see) {
    const { result } = await client.initialize({}, '2025-03-26');
    see('version', result?.protocolVersion, result?.protocolVersion === '2025-03-26');
    see('text', await client.call('test_simple_text'));
    see('elicitation-is-not-there', (await client.call('test_elicitation', { message: 'Who?' })).result?.isError);
}

async function logging(client, see) {
    see('set-level', await client.request('logging/setLevel', { level: 'debug' }));
    see('answer', await client.call('test_tool_with_logging'));
    const messages = await client.noticed('notifications/message', 3);
    see('three-messages', messages, messages.length === 3);
    see('set-higher-level', await client.request('logging/setLevel', { level: 'error' }));
    await client.call('test_tool_with_logging');
    see('none-below-the-level', client.notices.filter(({ method }) => method === 'notifications/message'));
    const { error } = await client.request('logging/setLevel', { level: 'loud' });
    see('no-such-level', error?.code, error?.code === -32602);
}

async function questions(client, see) {
    client.answers = ACCEPTED;
    for (const [tool, args] of Object.entries(ASKING)) {
        const answer = await client.call(tool, args);
        const asked = client.takeAsked();
        see(`${tool}-asks`, unordered(asked), asked.length > 0);
        see(`${tool}-answers`, answer, answer.result?.isError === undefined);
    }
    see('prompt-answers', await client.request('prompts/get', { name: 'test_input_required_result_prompt' }));
    const asked = client.takeAsked();
    see('prompt-asks', asked, asked.length === 1);
}

async function refusedQuestions(client, see) {
    client.answers = { 'elicitation/create': () => ({ action: 'decline' }) };
    see('declined', await client.call('test_elicitation', { message: 'Who?' }));
    const refused = Object.assign(new Error('The user said no'), { code: -1 });
    client.answers = { 'sampling/createMessage': () => refused };
    const { error } = await client.call('test_sampling', { prompt: 'What?' });
    see('error-of-the-client', error, error?.code === -1);
}

async function noCapability(client, see) {
    const answer = await client.call('test_sampling', { prompt: 'What?' });
    see('sampling', answer.result?.isError, answer.result?.isError === true);
    see('nothing-was-asked', client.takeAsked());
}

async function subscriptions(client, see) {
    const uri = 'test://watched-resource';
    see('subscribe', await client.request('resources/subscribe', { uri }));
    await client.call('test_trigger_resource_update');
    const updates = await client.noticed('notifications/resources/updated');
    see('updated', updates, updates.length === 1);
    see('read', await client.request('resources/read', { uri }));
    see('unsubscribe', await client.request('resources/unsubscribe', { uri }));
    await client.call('test_trigger_resource_update');
    await client.request('ping');
    see('no-more-updates', client.notices.filter(({ method }) => method === 'notifications/resources/updated'));
}

async function listChanges(client, see) {
    for (const kind of ['tool', 'prompt']) {
        const names = async () => (await client.request(`${kind}s/list`)).result[`${kind}s`].map(({ name }) => name);
        const extra = `test_extra_${kind}`;
        await names();
        await client.call(`test_trigger_${kind}_change`);
        const added = await client.noticed(`notifications/${kind}s/list_changed`);
        see(`${kind}-added-notice`, added, added.length === 1);
        see(`${kind}-added`, (await names()).includes(extra));
        await client.call(`test_trigger_${kind}_change`);
        const removed = await client.noticed(`notifications/${kind}s/list_changed`);
        see(`${kind}-removed-notice`, removed, removed.length === 1);
        see(`${kind}-removed`, !(await names()).includes(extra));
    }
    await client.call('test_trigger_tool_change');
    await client.noticed('notifications/tools/list_changed');
    see('new-tool-answers', await client.call('test_extra_tool'));
}

export const LEGACY_SCENARIOS = {
    'play-handshake': handshake,
    'play-negotiation': negotiation,
    'play-2025-03-26': olderVersion,
    'play-plain': initialized(plain),
    'play-together': initialized(together),
    'play-progress': initialized(progress),
    'play-cancelling': initialized(cancelling),
    'play-logging': initialized(logging),
    'play-questions': initialized(questions, EVERYTHING),
    'play-refused-questions': initialized(refusedQuestions, EVERYTHING),
    'play-no-capability': initialized(noCapability),
    'play-subscriptions': initialized(subscriptions),
    'play-list-changes': initialized(listChanges)
};
