// A small dashboard of API7 Enterprise for the suite api7. It takes one token, answers what the suite asks for, and
// tells at /test/seen what it was asked and which requests were given up.
//
//   TOKEN=… node dashboard.mjs      "listening on http://127.0.0.1:PORT" on stderr

import { createServer } from 'node:http';

const seen = [];
const givenUp = [];

const answers = {
    'GET /api/gateway_groups': { list: [{ id: 'default', name: 'Zürich 東京', labels: {}, big: 9007199254740991 }], total: 1 },
    'GET /api/roles/dev': { value: { id: 'dev', name: 'dev', api_key: 'of-somebody-else' } },
    'POST /api/roles': { value: { id: 'new' } }
};

const server = createServer((request, response) => {
    const send = (status, body) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
    };
    const path = request.url.split('?')[0];
    const line = `${request.method} ${path}`;
    if (path === '/test/seen') return send(200, { seen, givenUp });
    seen.push(line);
    if (request.headers['x-api-key'] !== process.env.TOKEN) return send(401, { message: 'the token is not known' });
    if (path === '/api/roles/never') {
        request.socket.once('close', () => givenUp.push(line));
        return;
    }
    const answer = answers[line];
    send(answer === undefined ? 404 : 200, answer ?? { message: 'there is no such thing' });
});

server.listen(0, '127.0.0.1', () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit());
