// The checks of the tools for Apache APISIX.

import { fails, holds, same } from './checks.mjs';
import { commonChecks, Tools } from './suite-admin.mjs';

const ORIGINALS = [
    'get_resource', 'delete_resource', 'send_request_to_gateway', 'create_route', 'update_route', 'create_service',
    'update_service', 'create_upstream', 'update_upstream', 'create_or_update_consumer', 'get_credential',
    'create_or_update_credential', 'delete_credential', 'create_ssl', 'update_ssl', 'create_global_rule',
    'update_global_rule', 'create_consumer_group', 'update_consumer_group', 'get_all_plugin_names', 'get_plugin_schema',
    'get_plugin_metadata', 'create_plugin_config', 'update_plugin_config', 'create_or_update_plugin_metadata',
    'delete_plugin_metadata', 'create_or_update_stream_route', 'get_secret_by_id', 'create_secret', 'update_secret',
    'delete_secret', 'create_or_update_proto'
];

const PREFIX = '/apisix/admin';

export async function runChecks(list, connection, options) {
    const tools = new Tools(connection, options);
    await commonChecks(list, tools, {
        originals: ORIGINALS,
        never: ['get_resource', { type: 'routes', id: 'never' }],
        line: `GET ${PREFIX}/routes/never`
    });

    await list.check('reads a list', async () => {
        const routes = await tools.content('get_resource', { type: 'routes' });
        const text = JSON.stringify(routes);
        for (const part of ['Zürich 東京', '9007199254740991']) holds(text.includes(part), `no ${part} in ${text}`);
    });

    await list.check('reads one resource, without what is secret in it', async () => {
        const { body, redacted } = await tools.content('get_resource', { type: 'consumers', id: 'jack' });
        same(body.value, { username: 'jack', plugins: { 'key-auth': { key: '[redacted]' } } });
        same(redacted, 1);
    });

    await list.check('reads the names of the plugins', async () => {
        const { body } = await tools.content('get_all_plugin_names', {});
        same(body, ['cors', 'limit-count']);
    });

    await list.check('shows a write, and does not send it', async () => {
        const nodes = { '10.0.0.1:80': 1 };
        const route = { uri: '/new', upstream: { type: 'roundrobin', nodes } };
        const shown = await tools.isShown('create_route', { id: 'new', route }, 'PUT', '/routes/new');
        same(shown.request.body, route);
    });

    await list.check('settings of plugins are held against the schemas of this APISIX', async () => {
        const plugins = { 'limit-count': { count: 'many' } };
        const text = await tools.error('create_route', { route: { uri: '/', plugins }, dry_run: true });
        for (const part of ['limit-count', 'time_window']) holds(text.includes(part), text);
    });

    await list.check('test requests go to the gateway without the key', async () => {
        const requests = [{ path: '/gateway/hello', method: 'GET', repeatCount: 3 }];
        const { results, summary } = await tools.content('send_request_to_gateway', { requests });
        same([summary.total, summary.successful, summary.failed], [3, 3, 0]);
        same(results[0].data, { path: '/gateway/hello' });
        same((await tools.asked()).leaked, [], 'requests with the key');
    });

    await list.check('errors say what to do next', async () => {
        for (const [id, says] of [['no-such-route', 'Check the id'], ['../services', 'invalid arguments for `get_resource`']]) {
            const text = await tools.error('get_resource', { type: 'routes', id });
            holds(text.includes(says), text);
        }
        return fails(connection, tools.call('no-such-tool', {}), 'error:-32602');
    });
}
