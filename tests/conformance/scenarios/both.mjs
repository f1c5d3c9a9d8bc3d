// What clients of either era do alike.

/** What can be asked for in one request and answered at once: check -> method and params. */
const PLAIN = {
    'tools-list': ['tools/list', {}],
    'prompts-list': ['prompts/list', {}],
    'resources-list': ['resources/list', {}],
    'templates-list': ['resources/templates/list', {}],
    text: ['tools/call', { name: 'test_simple_text' }],
    image: ['tools/call', { name: 'test_image_content', arguments: {} }],
    audio: ['tools/call', { name: 'test_audio_content', arguments: {} }],
    embedded: ['tools/call', { name: 'test_embedded_resource', arguments: {} }],
    mixed: ['tools/call', { name: 'test_multiple_content_types', arguments: {} }],
    'tool-error': ['tools/call', { name: 'test_error_handling', arguments: {} }],
    arguments: ['tools/call', { name: 'json_schema_2020_12_tool', arguments: { email: 'a@b.c', name: 'ä\u2028"' } }],
    'missing-arguments': ['tools/call', { name: 'greet', arguments: {} }],
    'header-param': ['tools/call', { name: 'test_header_param', arguments: { region: ' köln' } }],
    reconnection: ['tools/call', { name: 'test_reconnection', arguments: {} }],
    'read-text': ['resources/read', { uri: 'test://static-text' }],
    'read-binary': ['resources/read', { uri: 'test://static-binary' }],
    'read-template': ['resources/read', { uri: 'test://template/a%20b/data' }],
    prompt: ['prompts/get', { name: 'test_simple_prompt' }],
    'prompt-arguments': ['prompts/get', { name: 'test_prompt_with_arguments', arguments: { arg1: '1', arg2: '2' } }],
    'prompt-missing-argument': ['prompts/get', { name: 'test_prompt_with_arguments', arguments: { arg1: '1' } }],
    'prompt-embedded': [
        'prompts/get', { name: 'test_prompt_with_embedded_resource', arguments: { resourceUri: 'test://static-text' } }
    ],
    'prompt-image': ['prompts/get', { name: 'test_prompt_with_image' }],
    'complete-prompt': [
        'completion/complete',
        { ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' }, argument: { name: 'arg1', value: 'par' } }
    ],
    'complete-template': [
        'completion/complete',
        { ref: { type: 'ref/resource', uri: 'test://template/{id}/data' }, argument: { name: 'id', value: 'te' } }
    ]
};

/** What the gateway refuses itself: the words are its own, the code is not. */
const REFUSED = {
    'unknown-resource': ['resources/read', { uri: 'test://nowhere' }],
    'unknown-tool': ['tools/call', { name: 'no_such_tool', arguments: {} }],
    'unknown-prompt': ['prompts/get', { name: 'no_such_prompt' }],
    'no-name': ['tools/call', { arguments: {} }],
    'unknown-method': ['no/such/method', {}],
    'unknown-cursor': ['tools/list', { cursor: 'no-such-cursor' }]
};

export async function plain(client, see) {
    for (const [check, [method, params]] of Object.entries(PLAIN)) {
        const answer = await client.request(method, params);
        const expected = check === 'prompt-missing-argument' ? answer.error?.code === -32602 : answer.result;
        see(check, answer, Boolean(expected));
    }
    for (const [check, [method, params]] of Object.entries(REFUSED)) {
        const { error } = await client.request(method, params);
        see(check, { code: error?.code, data: error?.data }, typeof error?.code === 'number');
    }
}

export async function together(client, see) {
    const numbers = Array.from({ length: 50 }, (_, at) => at);
    const answers = await Promise.all(numbers.map(at => client.call('greet', { name: `number ${at}` })));
    const texts = answers.map(({ result }) => result?.content[0].text);
    see('each-gets-its-own', texts, texts.every((text, at) => text === `Hello, number ${at}!`));
}

export async function progress(client, see) {
    const answer = await client.call('test_tool_with_progress', {}, {}, { progressToken: 'abc' });
    const values = await client.noticed('notifications/progress', 3, params => params.progressToken === 'abc');
    see('answer', answer);
    see('three-steps', values, values.length === 3);
    await client.call('test_tool_with_progress', {}, {}, { progressToken: 7 });
    const numbered = await client.noticed('notifications/progress', 3, params => params.progressToken === 7);
    see('token-that-is-a-number', numbered, numbered.length === 3);
    await client.call('test_tool_with_progress');
    see('none-without-token', client.notices.filter(({ method }) => method === 'notifications/progress'));
}

export async function cancelling(client, see) {
    const { id } = client.begin('tools/call', { name: 'test_wait', arguments: { ms: 60_000, tag: 'x' } }, {
        progressToken: 'wait'
    });
    const begun = await client.noticed('notifications/progress');
    see('begun', begun, begun.length === 1);
    client.cancel(id);
    let counted;
    for (let round = 0; round < 50 && counted !== '1'; round += 1) {
        counted = (await client.call('test_count_cancelled', { tag: 'x' })).result?.content[0].text;
    }
    see('cancelled-at-the-server', counted, counted === '1');
    see('no-answer-to-it', client.strays);
}

/** The questions of one tool as they reach the client, and what comes of the answers. */
export const ACCEPTED = {
    'elicitation/create': () => ({ action: 'accept', content: { name: 'Ada', ok: true, color: 'red' } }),
    'sampling/createMessage': () => ({
        role: 'assistant', model: 'none', stopReason: 'endTurn', content: { type: 'text', text: 'Paris' }
    }),
    'roots/list': () => ({ roots: [{ uri: 'file:///tmp', name: 'tmp' }] })
};

/** Tools that ask, with their arguments. */
export const ASKING = {
    test_sampling: { prompt: 'What?' },
    test_elicitation: { message: 'Who?' },
    test_elicitation_sep1034_defaults: {},
    test_elicitation_sep1330_enums: {},
    test_input_required_result_elicitation: {},
    test_input_required_result_sampling: {},
    test_input_required_result_list_roots: {},
    test_input_required_result_request_state: {},
    test_input_required_result_multiple_inputs: {},
    test_input_required_result_multi_round: {},
    confirm_delete: { filename: 'a.txt' },
    multi_input: {}
};

/** Questions that were asked at once come in any order. */
export const unordered = questions =>
    questions.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));

export const EVERYTHING = { sampling: {}, elicitation: {}, roots: {} };
