// A small admin API for the suites of admin APIs. It takes one key, answers what the suite asks for, and tells at /test/seen
// what it was asked, what of that nobody planned, which requests were given up, and which of those for the gateway carried
// the key.
//
//   KEY=… node admin.mjs api7|apisix|konnect|kong      "listening on http://127.0.0.1:PORT" on stderr

import { createServer } from 'node:http';
import { scripts as strict } from './konnect.mjs';

const seen = [];
const givenUp = [];
const leaked = [];
const unplanned = [];

const scripts = {
    api7: {
        'GET /api/gateway_groups': { list: [{ id: 'default', name: 'Zürich 東京', labels: {}, big: 9007199254740991 }], total: 1 },
        'GET /api/roles/dev': { value: { id: 'dev', name: 'dev', api_key: 'of-somebody-else' } },
        'POST /api/roles': { value: { id: 'new' } }
    },
    apisix: {
        'GET /apisix/admin/routes': {
            list: [
                { key: '/apisix/routes/1', value: { id: '1', uri: '/*', desc: 'Zürich 東京', create_time: 9007199254740991 }, createdIndex: 5, modifiedIndex: 7 }
            ],
            total: 1
        },
        'GET /apisix/admin/consumers/jack': {
            key: '/apisix/consumers/jack',
            value: { username: 'jack', plugins: { 'key-auth': { key: 'of-somebody-else' } } }
        },
        'GET /apisix/admin/plugins/list': ['cors', 'limit-count'],
        'GET /apisix/admin/plugins/limit-count': {
            type: 'object',
            properties: { count: { type: 'integer' }, time_window: { type: 'integer' } },
            required: ['count', 'time_window']
        },
        'PUT /apisix/admin/routes/new': { key: '/apisix/routes/new', value: { id: 'new', uri: '/new' } }
    }
};
const kind = process.argv[2];
const answers = scripts[kind];
// These hold to their plans: all that is asked besides is a fault.
const plan = strict[kind]?.();
if (answers === undefined && plan === undefined) {
    throw new Error(`the script must be one of ${[...Object.keys(scripts), ...Object.keys(strict)].join(', ')}`);
}
const knows = {
    konnect: headers => headers.authorization === `Bearer ${process.env.KEY}`,
    kong: headers => headers['kong-admin-token'] === process.env.KEY
};
const isKnown = knows[kind] ?? (headers => headers['x-api-key'] === process.env.KEY);

async function bodyOf(request) {
    let text = '';
    for await (const part of request) text += part;
    return text === '' ? undefined : JSON.parse(text);
}

const server = createServer(async (request, response) => {
    const send = (status, body) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
    };
    const path = request.url.split('?')[0];
    const line = `${request.method} ${plan === undefined ? path : request.url}`;
    if (path === '/test/seen') return send(200, { seen, givenUp, leaked, unplanned });
    seen.push(line);
    // What a gateway would serve stands here too.
    if (path.startsWith('/gateway/')) {
        if (JSON.stringify(request.rawHeaders).includes(process.env.KEY)) leaked.push(line);
        return send(200, { path });
    }
    if (!isKnown(request.headers)) return send(401, { message: 'the key is not known' });
    const planned = plan?.(line, await bodyOf(request));
    if (planned === 'never' || path.endsWith('/never')) {
        request.socket.once('close', () => givenUp.push(line));
        return;
    }
    if (plan !== undefined) {
        if (planned === undefined) unplanned.push(line);
        return send(planned?.status ?? 418, planned?.body ?? { message: 'nobody planned this' });
    }
    const answer = answers[line];
    send(answer === undefined ? 404 : 200, answer ?? { message: 'there is no such thing' });
});

server.listen(0, '127.0.0.1', () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit());
