// What the server has on offer: the fixtures that the conformance suite names, and a few of our own.
//
// A fixture is written once for every era: `ctx` (see context.mjs) knows how things are asked for in which.

import { ToolFailure } from './context.mjs';
import { TASKS } from './wire.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC'; // a pixel
const WAV = 'UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=='; // 1 ms of silence

const text = value => ({ type: 'text', text: value });
const says = value => ({ content: [text(value)] });
const object = (properties = {}, required = []) => ({ type: 'object', properties, required });
const string = (description, more = {}) => ({ type: 'string', description, ...more });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, content) => ({ type: 'resource', resource: { uri, mimeType, text: content } });
const prompted = (...contents) => ({ messages: contents.map(content => ({ role: 'user', content })) });

// Requests to the client.
const elicit = (message, properties, required = Object.keys(properties)) => ({
    method: 'elicitation/create',
    params: { message, requestedSchema: { type: 'object', properties, required } }
});
const sample = (prompt, maxTokens) => ({
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: text(prompt) }], maxTokens }
});
const roots = { method: 'roots/list', params: {} };
const askName = elicit('What is your name?', { name: { type: 'string' } });
const confirm = elicit('Please confirm', { ok: { type: 'boolean' } });

const said = answer => (answer.action === 'accept' ? answer.content ?? {} : {});
const completed = ({ action, content }) =>
    says(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);

// --- tools --------------------------------------------------------------------------------------------------------

const content = {
    test_simple_text: {
        description: 'Returns one text',
        call: () => says('This is a simple text response for testing.')
    },
    test_image_content: { description: 'Returns an image', call: () => ({ content: [image] }) },
    test_audio_content: {
        description: 'Returns a sound',
        call: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] })
    },
    test_embedded_resource: {
        description: 'Returns a resource in its result',
        call: () => ({
            content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')]
        })
    },
    test_multiple_content_types: {
        description: 'Returns text, image and resource',
        call: () => ({
            content: [
                text('Multiple content types test:'),
                image,
                embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}')
            ]
        })
    },
    test_error_handling: {
        description: 'Fails always',
        call: () => {
            throw new ToolFailure('This tool intentionally returns an error for testing');
        }
    },
    json_schema_2020_12_tool: {
        description: 'Has much of JSON Schema 2020-12 in its input schema',
        inputSchema: {
            $schema: 'https://json-schema.org/draft/2020-12/schema',
            type: 'object',
            $defs: {
                address: {
                    $anchor: 'addressDef',
                    type: 'object',
                    properties: { street: { type: 'string' }, city: { type: 'string' } }
                }
            },
            properties: {
                name: { type: 'string' },
                address: { $ref: '#/$defs/address' },
                contactMethod: { type: 'string', enum: ['phone', 'email'] },
                phone: { type: 'string' },
                email: { type: 'string' }
            },
            allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
            if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
            then: { required: ['phone'] },
            else: { required: ['email'] },
            additionalProperties: false
        },
        call: args => says(JSON.stringify(args))
    },
    test_header_param: {
        description: 'Has an argument that clients repeat in a header',
        inputSchema: object({ region: string('Where', { 'x-mcp-header': 'Region' }), query: string('What') }),
        call: ({ region = 'nowhere' }) => says(`Region: ${region}`)
    }
};

const notices = {
    test_tool_with_logging: {
        description: 'Writes three log messages',
        call: async (_, ctx) => {
            ctx.log('info', 'Tool execution started');
            await ctx.sleep(50);
            ctx.log('info', 'Tool processing data');
            await ctx.sleep(50);
            ctx.log('info', 'Tool execution completed');
            return says('Tool with logging executed.');
        }
    },
    test_logging_tool: {
        description: 'Writes one log message, for those who want it',
        call: (_, ctx) => {
            ctx.log('info', 'A log message of test_logging_tool');
            return says('Logged.');
        }
    },
    test_tool_with_progress: {
        description: 'Reports progress three times',
        call: async (_, ctx) => {
            ctx.progress(0, 100);
            await ctx.sleep(50);
            ctx.progress(50, 100);
            await ctx.sleep(50);
            ctx.progress(100, 100);
            return says('Tool with progress executed.');
        }
    },
    test_reconnection: {
        description: 'Ends its stream before its answer, so that clients must come back for it',
        call: async (_, ctx) => {
            ctx.dropStream();
            await ctx.sleep(450);
            return says('The answer came after the stream was closed.');
        }
    },
    test_trigger_tool_change: {
        description: 'Adds a tool to the list, or takes it away again',
        call: (_, { world }) => says(`The list of tools has changed: ${world.toggle('tools')}`)
    },
    test_trigger_prompt_change: {
        description: 'Adds a prompt to the list, or takes it away again',
        call: (_, { world }) => says(`The list of prompts has changed: ${world.toggle('prompts')}`)
    },
    test_trigger_resource_update: {
        description: 'Changes test://watched-resource',
        call: (_, { world }) => {
            world.watched += 1;
            world.emit({ kind: 'resource', uri: 'test://watched-resource' });
            return says(`The watched resource is at version ${world.watched}.`);
        }
    },
    test_wait: {
        description: 'Answers after so many milliseconds, unless it is cancelled',
        inputSchema: object({ ms: { type: 'integer' }, tag: string('Whose wait this is') }, ['ms', 'tag']),
        call: async ({ ms, tag }, ctx) => {
            const { cancelled } = ctx.world;
            const count = () => cancelled.set(tag, (cancelled.get(tag) ?? 0) + 1);
            ctx.signal.addEventListener('abort', count, { once: true });
            ctx.progress(0, 1);
            await ctx.sleep(Math.min(ms, 60_000));
            ctx.signal.removeEventListener('abort', count);
            return says(`Waited ${ms} ms.`);
        }
    },
    test_count_cancelled: {
        description: 'Says how many waits of this tag were cancelled',
        inputSchema: object({ tag: string('Whose waits') }, ['tag']),
        call: ({ tag }, { world }) => says(String(world.cancelled.get(tag) ?? 0))
    }
};

const questions = {
    test_sampling: {
        description: 'Has the client ask its model',
        inputSchema: object({ prompt: string('What to ask') }, ['prompt']),
        call: async ({ prompt }, ctx) => {
            const { answer } = await ctx.ask({ answer: sample(prompt, 100) });
            return says(`LLM response: ${answer.content.text ?? JSON.stringify(answer.content)}`);
        }
    },
    test_elicitation: {
        description: 'Asks the user for name and address',
        inputSchema: object({ message: string('What the user is shown') }, ['message']),
        call: async ({ message }, ctx) => {
            const { user } = await ctx.ask({
                user: elicit(message, { username: string("User's response"), email: string("User's email address") })
            });
            const { action, content: filled = {} } = user;
            return says(`User response: action=${action}, content=${JSON.stringify(filled)}`);
        }
    },
    test_elicitation_sep1034_defaults: {
        description: 'Asks with a default for every primitive type',
        call: async (_, ctx) => {
            const { form } = await ctx.ask({
                form: elicit('Please check the defaults', {
                    name: { type: 'string', default: 'John Doe' },
                    age: { type: 'integer', default: 30 },
                    score: { type: 'number', default: 95.5 },
                    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
                    verified: { type: 'boolean', default: true }
                }, [])
            });
            return completed(form);
        }
    },
    test_elicitation_sep1330_enums: {
        description: 'Asks with every form of choice',
        call: async (_, ctx) => {
            const titled = word => [1, 2, 3].map(n => ({ const: `value${n}`, title: `${word} ${n}` }));
            const plain = ['option1', 'option2', 'option3'];
            const { form } = await ctx.ask({
                form: elicit('Please choose', {
                    untitledSingle: { type: 'string', enum: plain },
                    titledSingle: { type: 'string', oneOf: titled('Option') },
                    legacyEnum: {
                        type: 'string',
                        enum: ['opt1', 'opt2', 'opt3'],
                        enumNames: ['Option One', 'Option Two', 'Option Three']
                    },
                    untitledMulti: { type: 'array', items: { type: 'string', enum: plain } },
                    titledMulti: { type: 'array', items: { anyOf: titled('Choice') } }
                }, [])
            });
            return completed(form);
        }
    },
    test_missing_capability: {
        description: 'Refuses clients that cannot sample',
        call: (_, ctx) => {
            ctx.require({ sampling: {} });
            return says('The client can sample.');
        }
    },
    test_streaming_elicitation: {
        description: 'Reports progress, then asks',
        call: async (_, ctx) => {
            ctx.progress(1, 2);
            const { user_name } = await ctx.ask({ user_name: askName });
            return says(`Hello, ${said(user_name).name ?? 'stranger'}!`);
        }
    }
};

const rounds = {
    test_input_required_result_elicitation: {
        description: 'Asks for a name',
        call: async (_, ctx) => {
            const { user_name } = await ctx.ask({ user_name: askName });
            return says(`Hello, ${said(user_name).name ?? 'stranger'}!`);
        }
    },
    test_input_required_result_sampling: {
        description: 'Asks the model of the client',
        call: async (_, ctx) => {
            const { capital_question: answer } = await ctx.ask({
                capital_question: sample('What is the capital of France?', 100)
            });
            return says(`The model says: ${answer.content.text ?? ''}`);
        }
    },
    test_input_required_result_list_roots: {
        description: 'Asks for the roots of the client',
        call: async (_, ctx) => {
            const { client_roots } = await ctx.ask({ client_roots: roots });
            return says(`Roots: ${client_roots.roots.map(root => root.uri).join(', ')}`);
        }
    },
    test_input_required_result_request_state: {
        description: 'Asks for a confirmation, and for its own state back',
        call: async (_, ctx) => {
            const answers = await ctx.ask({ confirm }, { state: true });
            return says(`state-ok: confirmed ${said(answers.confirm).ok ?? false}`);
        }
    },
    test_input_required_result_tampered_state: {
        description: 'The same, for those who change the state on its way',
        call: async (_, ctx) => {
            const answers = await ctx.ask({ confirm }, { state: true });
            return says(`The state came back unchanged: confirmed ${said(answers.confirm).ok ?? false}`);
        }
    },
    test_input_required_result_multiple_inputs: {
        description: 'Asks for three things at once',
        call: async (_, ctx) => {
            const answers = await ctx.ask(
                { user_name: askName, greeting: sample('Generate a greeting', 50), client_roots: roots },
                { state: true }
            );
            const { user_name, greeting, client_roots } = answers;
            const { name = 'stranger' } = said(user_name);
            return says(`${greeting.content.text ?? ''} ${name}, ${client_roots.roots.length} roots`);
        }
    },
    test_input_required_result_multi_round: {
        description: 'Asks twice, one after the other',
        call: async (_, ctx) => {
            const { step1 } = await ctx.ask(
                { step1: elicit('Step 1: What is your name?', { name: { type: 'string' } }) },
                { state: true }
            );
            const { step2 } = await ctx.ask(
                { step2: elicit('Step 2: What is your favorite color?', { color: { type: 'string' } }) },
                { state: true }
            );
            return says(`${said(step1).name ?? 'Somebody'} likes ${said(step2).color ?? 'no color'}.`);
        }
    },
    test_input_required_result_capabilities: {
        description: 'Asks for what the client can do, and for nothing else',
        call: async (_, ctx) => {
            const wanted = {};
            if (ctx.has('elicitation')) wanted.user_name = askName;
            if (ctx.has('sampling')) wanted.greeting = sample('Generate a greeting', 50);
            if (ctx.has('roots')) wanted.client_roots = roots;
            const answers = await ctx.ask(wanted);
            return says(`Answered: ${Object.keys(answers).sort().join(', ') || 'nothing'}`);
        }
    }
};

const jobs = {
    greet: {
        description: 'Greets, at once',
        inputSchema: object({ name: string('Whom') }, ['name']),
        call: ({ name }) => says(`Hello, ${name}!`)
    },
    slow_compute: {
        description: 'Takes so many seconds, as a task if need be',
        inputSchema: object({ seconds: { type: 'number' }, label: string('Its name') }, ['seconds']),
        call: ({ seconds, label = 'unnamed' }, ctx) => {
            const work = async job => {
                // Who cannot follow a task is not kept waiting for long.
                await job.sleep(Math.min(seconds, ctx.tasks ? 60 : 1) * 1000);
                return says(`Computed ${label} in ${seconds} s.`);
            };
            return seconds > 0 ? ctx.task(work) : work(ctx);
        }
    },
    failing_job: {
        description: 'A task that fails, and nothing else',
        call: (_, ctx) => {
            ctx.require({ extensions: { [TASKS]: {} } });
            return ctx.task(async job => {
                await job.sleep(200);
                throw new ToolFailure('This job fails always.');
            });
        }
    },
    protocol_error_job: {
        description: 'A task that ends with a protocol error',
        call: (_, ctx) => ctx.task(async job => {
            await job.sleep(50);
            throw new Error('this job breaks the server');
        })
    },
    confirm_delete: {
        description: 'Asks before it deletes (nothing, really)',
        inputSchema: object({ filename: string('What to delete') }, ['filename']),
        call: ({ filename }, ctx) => {
            ctx.require({ elicitation: {} });
            return ctx.task(async job => {
                const asked = elicit(`Delete ${filename}?`, { confirm: { type: 'boolean' } });
                const { sure } = await job.ask({ sure: asked });
                return says(`${said(sure).confirm ? 'Deleted' : 'Kept'} ${filename}.`);
            });
        }
    },
    multi_input: {
        description: 'Asks for two things at once',
        call: (_, ctx) => {
            ctx.require({ elicitation: {} });
            return ctx.task(async job => {
                const { first, second } = await job.ask({
                    first: elicit('Who is first?', { name: { type: 'string' } }),
                    second: elicit('Who is second?', { name: { type: 'string' } })
                });
                return says(`${said(first).name ?? 'Nobody'}, then ${said(second).name ?? 'nobody'}.`);
            });
        }
    },
    test_tool_with_task: {
        description: 'Asks for a name, and then greets in a task',
        call: async (_, ctx) => {
            const { user_name } = await ctx.ask({ user_name: askName });
            return ctx.task(async job => {
                await job.sleep(50);
                return says(`Hello, ${said(user_name).name ?? 'stranger'}!`);
            });
        }
    }
};

/** All tools by name, in the order of their list. The first one needs no arguments: the suite calls it without. */
export const TOOLS = new Map(Object.entries({ ...content, ...notices, ...questions, ...rounds, ...jobs }));

/** What `test_trigger_tool_change` adds. */
export const EXTRA_TOOL = ['test_extra_tool', { description: 'Comes and goes', call: () => says('I am here.') }];

export const toolDefinition = ([name, { description, inputSchema = object() }]) => ({ name, description, inputSchema });

// --- prompts ------------------------------------------------------------------------------------------------------

const argument = (name, description) => ({ name, description, required: true });

export const PROMPTS = new Map(Object.entries({
    test_simple_prompt: {
        description: 'One sentence',
        get: () => prompted(text('This is a simple prompt for testing.'))
    },
    test_prompt_with_arguments: {
        description: 'A sentence with two arguments',
        arguments: [argument('arg1', 'First test argument'), argument('arg2', 'Second test argument')],
        get: ({ arg1, arg2 }) => prompted(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))
    },
    test_prompt_with_embedded_resource: {
        description: 'A resource and a sentence',
        arguments: [argument('resourceUri', 'URI of the resource to embed')],
        get: ({ resourceUri }) => prompted(
            embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
            text('Please process the embedded resource above.')
        )
    },
    test_prompt_with_image: {
        description: 'An image and a sentence',
        get: () => prompted(image, text('Please analyze the image above.'))
    },
    test_input_required_result_prompt: {
        description: 'Asks for its context first',
        get: async (_, ctx) => {
            const { user_context } = await ctx.ask({
                user_context: elicit('What context should the prompt use?', { context: { type: 'string' } })
            });
            return prompted(text(`Use this context: ${said(user_context).context ?? 'none'}`));
        }
    }
}));

/** What `test_trigger_prompt_change` adds. */
export const EXTRA_PROMPT = [
    'test_extra_prompt',
    { description: 'Comes and goes', get: () => prompted(text('I am here.')) }
];

export const promptDefinition = ([name, { description, arguments: needed = [] }]) => ({
    name,
    description,
    arguments: needed
});

// --- resources ----------------------------------------------------------------------------------------------------

const resource = (uri, name, mimeType, description) => ({ uri, name, mimeType, description });

export const RESOURCES = [
    resource('test://static-text', 'static-text', 'text/plain', 'A text that never changes'),
    resource('test://static-binary', 'static-binary', 'image/png', 'An image that never changes'),
    resource('test://watched-resource', 'watched-resource', 'text/plain', 'A text that changes')
];

export const TEMPLATES = [
    {
        uriTemplate: 'test://template/{id}/data',
        name: 'template',
        mimeType: 'application/json',
        description: 'Data of an id'
    }
];

/** The contents of a resource, or `undefined` when there is none at `uri`. */
export function readResource(uri, world) {
    if (uri === 'test://static-text') {
        return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' };
    }
    if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: PNG };
    if (uri === 'test://watched-resource') return { uri, mimeType: 'text/plain', text: `Version ${world.watched}` };
    const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
    if (id === undefined) return undefined;
    const data = { id, templateTest: true, data: `Data for ID: ${id}` };
    return { uri, mimeType: 'application/json', text: JSON.stringify(data) };
}

// --- completion ---------------------------------------------------------------------------------------------------

const WORDS = ['paris', 'park', 'party', 'test', 'testing'];

/** The words that an argument of a prompt or template may be completed to; `undefined` when there is no such thing. */
export function complete(ref, value) {
    const known = ref.type === 'ref/prompt' ? PROMPTS.has(ref.name) : ref.uri === TEMPLATES[0].uriTemplate;
    return known ? WORDS.filter(word => word.startsWith(value)) : undefined;
}
