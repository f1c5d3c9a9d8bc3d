// The checks of the tools for Kong Konnect: its workflows, each by what the tools before have answered.

import { fails, holds, same, textOf, until } from './checks.mjs';
import { ALERT, CLOSED, CONSUMER, NEVER, NOTHING, PLANE, PLUGIN, ROUTE, SERVICE } from './konnect.mjs';
import { commonChecks } from './suite-admin.mjs';
import { KongTools, searchesDocumentation } from './suite-kong.mjs';

const ORIGINALS = [
    'GetControlPlane', 'GetControlPlaneGroup', 'GetConsumer', 'GetConsumerGroup', 'GetService', 'GetRoute', 'GetPlugin',
    'GetVault', 'GetAnalytics', 'CreateDebugSession', 'ActiveTracingSession', 'FetchAlertingEventDetails',
    'KnowledgeBaseSearch'
];
const PROMPTS = ['analyze-consumer', 'audit-configuration', 'debug-performance', 'investigate-alert', 'investigate-endpoint'];
const LINE = `GET /v2/control-planes/${PLANE}/debug-sessions/${NEVER}`;
const CREATES = `POST /v2/control-planes/${PLANE}/debug-sessions`;

class Konnect extends KongTools {
    constructor(connection, options) {
        super(connection, options);
        this.person = options.person;
    }

    async created() {
        return (await this.asked()).seen.filter(line => line === CREATES).length;
    }

    /** Creates a session in the way that this client can: its user is asked, or the model says that the user agreed. */
    async create(args) {
        if (this.person === undefined) {
            const before = await this.created();
            const shown = await this.content('CreateDebugSession', args);
            same([shown.created, await this.created()], [false, before], 'created before it was confirmed');
            holds(shown.next.includes('confirm: true'), shown.next);
            return this.content('CreateDebugSession', { ...args, confirm: true });
        }
        this.person.answer = { action: 'accept', content: { create: true } };
        const made = await this.content('CreateDebugSession', args);
        const { message } = this.person.asked.at(-1);
        for (const part of [PLANE, args.http_path, '60 s', 'max_samples: 100']) holds(message.includes(part), message);
        return made;
    }

    session({ debug_session_id }, operation) {
        return this.content('ActiveTracingSession', { control_plane_id: PLANE, debug_session_id, operation });
    }

    /** Follows a session to its end. */
    async followed(session) {
        let status;
        for (let times = 0; times < 5; times += 1) {
            status = await this.session(session, 'fetch_status');
            if (status.has_ended) return status;
            holds(status.wait_seconds > 0, JSON.stringify(status));
        }
        throw new Error(`it does not end: ${JSON.stringify(status)}`);
    }
}

export async function runChecks(list, connection, options) {
    const tools = new Konnect(connection, options);
    await commonChecks(list, tools, {
        originals: ORIGINALS,
        never: ['ActiveTracingSession', { control_plane_id: PLANE, debug_session_id: NEVER, operation: 'fetch_status' }],
        line: LINE
    });
    await offersWorkflows(list, connection);
    await debugs(list, tools);
    await asks(list, tools);
    await ends(list, tools);
    await reads(list, tools);
    await searchesDocumentation(list, tools);
    await list.check('errors say what to do next', async () => {
        const wrong = { operation: 'get_by_id', control_plane_id: PLANE };
        for (const [id, says] of [[NOTHING, 'region'], ['../services', 'give a UUID']]) {
            const text = await tools.error('GetRoute', { ...wrong, route_id: id });
            holds(text.includes(says), text);
        }
        return fails(connection, tools.call('no-such-tool', {}), 'error:-32602');
    });
    await list.check('nothing was asked that nobody planned', async () => same((await tools.asked()).unplanned, []));
}

async function offersWorkflows(list, connection) {
    await list.check('offers the workflows as prompts', async () => {
        const prompts = await connection.listPrompts();
        same(prompts.map(({ name }) => name).sort(), PROMPTS);
        const args = { path: '/slow', latency_ms: '1000', alert_event_id: ALERT };
        for (const prompt of prompts) {
            const wanted = prompt.arguments?.filter(({ name }) => name in args) ?? [];
            const given = Object.fromEntries(wanted.map(({ name }) => [name, args[name]]));
            const { messages } = await connection.getPrompt({ name: prompt.name, arguments: given });
            const { text } = messages[0].content;
            holds(ORIGINALS.some(tool => text.includes(tool)) && !text.includes('{'), text);
        }
    });
}

async function debugs(list, tools) {
    await list.check('a slow path is traced to the plugin that waits', async () => {
        const { items } = await tools.content('GetControlPlane', { operation: 'list' });
        const args = { control_plane_id: items[0].control_plane_id, http_path: '/slow', http_latency: '>=1000ms' };
        const session = await tools.create(args);
        same(session.sampling_rule, 'http.path == "/slow" && proxy.kong.latency_total_ms >= 1000');
        same((await tools.followed(session)).status, 'completed');
        const { summary, remarks } = await tools.session(session, 'summarize_session');
        same([summary.bottlenecks[0].plugin, summary.bottlenecks[0].plugin_id], ['openid-connect', PLUGIN]);
        const plugin = { operation: 'get_by_id', control_plane_id: PLANE, plugin_id: summary.bottlenecks[0].plugin_id };
        const { items: [found] } = await tools.content('GetPlugin', plugin);
        same([found.config.client_secret, found.config.timeout], [['[redacted]'], 9007199254740991]);
        return remarks?.join(' ');
    });

    await list.check('traces are shown compact, and those of one form once', async () => {
        const session = await tools.create({ control_plane_id: PLANE, http_path: '/slow' });
        await tools.followed(session);
        const { compact } = await tools.session(session, 'compact_traces');
        holds(compact.traces[0].spans.length === 4, JSON.stringify(compact));
        const { compressed } = await tools.session(session, 'compressed_traces');
        same([compressed.forms, compressed.distinct[0].count], [compressed.distinct.length, 2]);
    });

    await list.check('an alert leads to a session of what it was about', async () => {
        const alert = await tools.content('FetchAlertingEventDetails', { alert_event_id: ALERT });
        const session = await tools.create(alert.debug_session_inputs);
        same(session.sampling_rule, 'http.path == "/alerted" && http.response.status_code == 500');
        await tools.followed(session);
        const { summary } = await tools.session(session, 'summarize_session');
        same(summary.bottlenecks[0].plugin, 'openid-connect');
    });
}

async function asks(list, tools) {
    const args = { control_plane_id: PLANE, http_path: '/asked' };
    const { person } = tools;
    if (person === undefined) {
        await list.check('nobody is asked who cannot be, and nothing is created without confirm', async () => {
            const before = await tools.created();
            for (const confirm of [undefined, false]) {
                same((await tools.content('CreateDebugSession', { ...args, confirm })).created, false);
            }
            same(await tools.created(), before);
        });
        return;
    }
    await list.check('the user is asked whatever the model says, and nothing is created without a yes', async () => {
        const before = await tools.created();
        const no = { action: 'accept', content: { create: false } };
        for (const answer of [{ action: 'decline' }, { action: 'cancel' }, no]) {
            const asked = person.asked.length;
            person.answer = answer;
            const text = await tools.error('CreateDebugSession', { ...args, confirm: true });
            holds(text.includes('nothing was created'), text);
            same(person.asked.length, asked + 1, 'questions');
        }
        same(await tools.created(), before);
    });

    await list.check('what cannot be created is not asked about', async () => {
        const asked = person.asked.length;
        await tools.error('CreateDebugSession', { ...args, session_duration: 7 });
        same(person.asked.length, asked);
    });
}

async function ends(list, tools) {
    await list.check('a session that times out is told to be a part', async () => {
        const session = await tools.create({ control_plane_id: PLANE, http_path: '/late' });
        same((await tools.followed(session)).status, 'timed_out');
        const { remarks } = await tools.session(session, 'summarize_session');
        holds(remarks.join(' ').includes('timed_out'), JSON.stringify(remarks));
    });

    await list.check('a session is stopped, and is a part then', async () => {
        const session = await tools.create({ control_plane_id: PLANE, http_path: '/long' });
        same((await tools.session(session, 'fetch_status')).has_ended, false);
        const ids = { control_plane_id: PLANE, debug_session_id: session.debug_session_id };
        const early = await tools.error('ActiveTracingSession', { ...ids, operation: 'summarize_session' });
        holds(early.includes('fetch_status'), early);
        same((await tools.session(session, 'stop_session')).status, 'cancelled');
        const { remarks } = await tools.session(session, 'summarize_session');
        holds(remarks.join(' ').includes('cancelled'), JSON.stringify(remarks));
        const again = await tools.error('ActiveTracingSession', { ...ids, operation: 'stop_session' });
        holds(again.includes('has ended already'), again);
    });

    await list.check('a wait that takes the client too long is given up at the API', async () => {
        const before = (await tools.asked()).givenUp.length;
        const args = { control_plane_id: PLANE, debug_session_id: NEVER, operation: 'fetch_status' };
        const outcome = await tools.call('ActiveTracingSession', args, { timeout: 500 }).then(() => 'a result', error => error);
        holds(outcome instanceof Error, `it gave ${outcome}`);
        await until(async () => (await tools.asked()).givenUp.length > before, 5000, () => 'the API still works on it');
    });
}

async function reads(list, tools) {
    await list.check('a path leads to its service and plugins, past a control plane that is closed', async () => {
        const found = await tools.content('GetControlPlane', { operation: 'get_by_route', path: '/api/users/7' });
        same([found.items[0].control_plane_id, found.routes[0].route_id], [PLANE, ROUTE]);
        same([found.unread[0].name, found.unread[0].message.includes('the role Viewer')], ['closed', true]);
        holds(found.remarks.join(' ').includes('cannot be compiled'), JSON.stringify(found.remarks));
        await tools.followsRoute(found.items[0].control_plane_id, found.routes[0]);
    });

    await list.check('the consumer that fails most is followed', async () => {
        const query = { time_range: '24H', operation: 'query_api_requests', status_codes: [500, 502, 503] };
        const result = await tools.call('GetAnalytics', query);
        holds(!/\n<\/requests>|[\u202e\u001b]/.test(textOf(result)), 'what strangers sent is shown as it came');
        const { counts } = result.structuredContent;
        const [{ consumer_id: id, control_plane_id: plane, failures }] = counts.consumers;
        same([id, plane, failures], [CONSUMER, PLANE, 2]);
        const one = { operation: 'get_by_id', control_plane_id: plane, consumer_id: `${plane}:${id}` };
        same((await tools.content('GetConsumer', one)).items[0].username, 'jack');
        const of = { time_range: '24H', operation: 'get_consumer_requests', consumer_id: id, failureOnly: true };
        same((await tools.content('GetAnalytics', of)).counts.failures, 3);
        const text = await tools.error('GetAnalytics', { ...of, successOnly: true });
        holds(text.includes('failureOnly'), text);
    });

    await list.check('all control planes are audited, but for one that is closed', async () => {
        const { items } = await tools.content('GetControlPlane', { operation: 'list' });
        same(items.map(item => item.control_plane_id), [PLANE, CLOSED]);
        await tools.audits(PLANE);
        const text = await tools.error('GetService', { operation: 'list', control_plane_id: CLOSED });
        holds(text.includes('the role Viewer'), text);
    });

    await list.check('ids are taken in both forms', async () => {
        const by = service_id => ({ operation: 'get_by_id', control_plane_id: PLANE, service_id });
        for (const id of [SERVICE, `${PLANE}:${SERVICE}`, SERVICE.toUpperCase()]) {
            same((await tools.content('GetService', by(id))).items[0].service_id, SERVICE);
        }
        const session = { control_plane_id: PLANE, service_id: `${CLOSED}:${SERVICE}` };
        const text = await tools.error('CreateDebugSession', session);
        holds(text.includes('belongs to control plane'), text);
    });
}
