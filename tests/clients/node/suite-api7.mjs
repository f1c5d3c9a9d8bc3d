// The checks of the tools for API7 Enterprise.

import { fails, holds, same } from './checks.mjs';
import { commonChecks, Tools } from './suite-admin.mjs';

const ORIGINALS = [
    'get_resource', 'send_request_to_gateway', 'get_service_healthcheck', 'get_prometheus_metrics', 'check_risk', 'get_role',
    'create_role', 'delete_role', 'update_assigned_roles_for_user', 'get_role_by_user_id', 'get_userId_by_username',
    'get_permission_policy', 'get_permission_policy_by_role', 'create_permission_policy', 'update_permission_policy',
    'delete_permission_policy', 'attach_permission_policy_to_role', 'detach_permission_policy_from_role'
];

const ROLE = { role: { name: 'dev', policies: [] } };

export async function runChecks(list, connection, options) {
    const tools = new Tools(connection, options);
    await commonChecks(list, tools, {
        originals: ORIGINALS,
        never: ['get_role', { id: 'never' }],
        line: 'GET /api/roles/never'
    });

    await list.check('reads a list', async () => {
        const groups = await tools.content('get_resource', { gatewayGroup: {} });
        const text = JSON.stringify(groups);
        for (const part of ['Zürich 東京', '9007199254740991']) holds(text.includes(part), `no ${part} in ${text}`);
    });

    await list.check('reads one resource, without what is secret in it', async () => {
        const { body, redacted } = await tools.content('get_role', { id: 'dev' });
        same(body.value, { id: 'dev', name: 'dev', api_key: '[redacted]' });
        same(redacted, 1);
    });

    await list.check('shows a write, and does not send it', () => tools.isShown('create_role', ROLE, 'POST', '/api/roles'));

    await list.check('errors say what to do next', async () => {
        for (const [id, says] of [['no-such-role', 'Check the ids'], ['../users', 'invalid arguments for `get_role`']]) {
            const text = await tools.error('get_role', { id });
            holds(text.includes(says), text);
        }
        return fails(connection, tools.call('no-such-tool', {}), 'error:-32602');
    });

    await list.check('reads the actions of permission policies', async () => {
        const uri = 'text://policy-resources-actions.json';
        const { contents } = await connection.readResource({ uri });
        holds(contents[0].text.includes('iam:'), contents[0].text.slice(0, 200));
    });
}
