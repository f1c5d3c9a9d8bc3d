// The checks of the tools for API7 Enterprise, in front of dashboard.mjs. The clients themselves hold structured content
// to the output schemas that were listed.

import { fails, holds, same, textOf, until } from './checks.mjs';

const ORIGINALS = [
    'get_resource', 'send_request_to_gateway', 'get_service_healthcheck', 'get_role', 'create_role', 'delete_role',
    'update_assigned_roles_for_user', 'get_role_by_user_id', 'get_userId_by_username', 'get_permission_policy',
    'get_permission_policy_by_role', 'create_permission_policy', 'update_permission_policy', 'delete_permission_policy',
    'attach_permission_policy_to_role', 'detach_permission_policy_from_role'
];

const ROLE = { role: { name: 'dev', policies: [] } };

export async function runChecks(list, connection, options) {
    const call = (name, args, more) => connection.callTool({ name, arguments: args }, more);
    const asked = async () => (await fetch(`${options.dashboard}/test/seen`)).json();
    const content = async (name, args) => {
        const result = await call(name, args);
        holds(!result.isError, `it is an error: ${textOf(result)}`);
        same(JSON.parse(textOf(result)), result.structuredContent, 'the text says something else');
        return result.structuredContent;
    };

    await list.check('lists the tools of API7-MCP, with annotations and both schemas', async () => {
        const tools = await connection.listTools();
        for (const name of ORIGINALS) holds(tools.some(tool => tool.name === name), `${name} is missing`);
        for (const { name, annotations, inputSchema, outputSchema } of tools) {
            same([inputSchema?.type, outputSchema?.type], ['object', 'object'], `schemas of ${name}`);
            same(typeof annotations?.readOnlyHint, 'boolean', `readOnlyHint of ${name}`);
        }
        return `${tools.length} tools`;
    });

    await list.check('reads a list', async () => {
        const groups = await content('get_resource', { gatewayGroup: {} });
        const text = JSON.stringify(groups);
        for (const part of ['Zürich 東京', '9007199254740991']) holds(text.includes(part), `no ${part} in ${text}`);
    });

    await list.check('reads one resource, without what is secret in it', async () => {
        const { body, redacted } = await content('get_role', { id: 'dev' });
        same(body.value, { id: 'dev', name: 'dev', api_key: '[redacted]' });
        same(redacted, 1);
    });

    await list.check('shows a write, and does not send it', async () => {
        const before = (await asked()).seen.length;
        const shown = await content('create_role', { ...ROLE, dry_run: true });
        same([shown.dry_run, shown.request.method, shown.request.path], [true, 'POST', '/api/roles']);
        const refused = await call('create_role', ROLE);
        holds(refused.isError && textOf(refused).includes('--allow-write'), textOf(refused));
        same((await asked()).seen.length, before, 'requests');
    });

    await list.check('errors say what to do next', async () => {
        for (const [args, says] of [[{ id: 'no-such-role' }, 'Check the ids'], [{ id: '../users' }, 'invalid arguments for `get_role`']]) {
            const result = await call('get_role', args);
            holds(result.isError && textOf(result).includes(says), textOf(result));
        }
        return fails(connection, call('no-such-tool', {}), 'error:-32602');
    });

    await list.check('a call that is given up is given up at the dashboard', async () => {
        const abort = new AbortController();
        const before = (await asked()).givenUp.length;
        const times = all => all.filter(line => line === 'GET /api/roles/never').length;
        const begun = times((await asked()).seen);
        const outcome = call('get_role', { id: 'never' }, { signal: abort.signal }).then(() => 'a result', error => error);
        await until(async () => times((await asked()).seen) > begun, 5000, () => 'the dashboard was not asked');
        abort.abort(new Error('changed my mind'));
        holds((await outcome) instanceof Error, `it gave ${await outcome}`);
        await until(async () => (await asked()).givenUp.length > before, 5000, () => 'the dashboard still works on it');
    });

    await list.check('reads the actions of permission policies', async () => {
        const uri = 'text://policy-resources-actions.json';
        const { contents } = await connection.readResource({ uri });
        holds(contents[0].text.includes('iam:'), contents[0].text.slice(0, 200));
    });
}
