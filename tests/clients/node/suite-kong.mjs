// The checks of the tools for a Kong Gateway.

import { fails, holds, same, textOf } from './checks.mjs';
import { CONSUMER, NEVER, PLUGIN, ROUTE, SERVICE } from './konnect.mjs';
import { commonChecks, Tools } from './suite-admin.mjs';

const ORIGINALS = [
    'GetControlPlane', 'GetConsumer', 'GetConsumerGroup', 'GetService', 'GetRoute', 'GetPlugin', 'GetVault',
    'KnowledgeBaseSearch'
];
const ABSENT = [
    'GetControlPlaneGroup', 'GetAnalytics', 'CreateDebugSession', 'ActiveTracingSession', 'FetchAlertingEventDetails'
];

export class KongTools extends Tools {
    /** The text is a short form here, and no JSON. */
    async content(name, args) {
        const result = await this.call(name, args);
        holds(!result.isError, `it is an error: ${textOf(result)}`);
        holds(textOf(result).length > 0, 'there is no text');
        return result.structuredContent;
    }

    /** From a route that get_by_route found to its service and plugins. */
    async followsRoute(plane, { route_id, service_id }) {
        const of = (operation, more) => ({ operation, control_plane_id: plane, ...more });
        const { items: [route] } = await this.content('GetRoute', of('get_by_id', { route_id }));
        same([route.route_id, route.service_id, route.methods], [ROUTE, service_id, ['GET']]);
        const { items: [service] } = await this.content('GetService', of('get_by_id', { service_id }));
        same([service.service_id, service.name, service.host], [SERVICE, 'Zürich 東京', 'h']);
        const { items: [plugin] } = await this.content('GetPlugin', of('list'));
        same([plugin.plugin_id, plugin.scope, plugin.route_id], [PLUGIN, 'route', ROUTE]);
        same(plugin.config.client_secret, ['[redacted]']);
    }

    async audits(plane) {
        for (const [tool, count] of [['GetService', 1], ['GetRoute', 2], ['GetPlugin', 1], ['GetConsumer', 1], ['GetVault', 1]]) {
            const found = await this.content(tool, { operation: 'list', control_plane_id: plane });
            same([found.count, found.items.length], [count, count], tool);
        }
    }
}

export async function searchesDocumentation(list, tools) {
    await list.check('searches the documentation that was read ahead', async () => {
        const { excerpts } = await tools.content('KnowledgeBaseSearch', { query: 'how many requests per minute? AND ("' });
        same(excerpts[0].source, 'plugins/rate-limiting.md');
        holds(excerpts[0].text.includes('minute'), JSON.stringify(excerpts));
    });
}

export async function runChecks(list, connection, options) {
    const tools = new KongTools(connection, options);
    const { items: [{ control_plane_id: plane }] } = await tools.content('GetControlPlane', { operation: 'list' });
    await commonChecks(list, tools, {
        originals: ORIGINALS,
        never: ['GetService', { operation: 'get_by_id', control_plane_id: plane, service_id: NEVER }],
        line: `GET /services/${NEVER}`
    });

    await list.check('what a gateway cannot do is not listed, nor are workflows of it', async () => {
        const names = (await connection.listTools()).map(({ name }) => name);
        same(names.filter(name => ABSENT.includes(name)), []);
        const prompts = await connection.listPrompts();
        same(prompts.map(({ name }) => name).sort(), ['audit-configuration', 'investigate-endpoint']);
    });

    await list.check('the gateway is one control plane, and does not tell its settings', async () => {
        const result = await tools.call('GetControlPlane', { operation: 'get_by_id', id: plane });
        same(result.structuredContent.items[0].version, '3.9.0');
        holds(!JSON.stringify(result).includes('of-somebody-else'), 'a secret is shown');
    });

    await list.check('a path leads to its service and plugins', async () => {
        const found = await tools.content('GetControlPlane', { operation: 'get_by_route', path: '/api/users/7' });
        same([found.items[0].control_plane_id, found.routes[0].route_id], [plane, ROUTE]);
        await tools.followsRoute(plane, found.routes[0]);
    });

    await list.check('its configuration is audited', async () => {
        await tools.audits(plane);
        const groups = await tools.content('GetConsumerGroup', { operation: 'list', control_plane_id: plane });
        same(groups.items[0].name, 'gold');
    });

    await list.check('a consumer is found by name', async () => {
        const by = { operation: 'get_by_name', control_plane_id: plane, consumer_name: 'jack' };
        same((await tools.content('GetConsumer', by)).items[0].consumer_id, CONSUMER);
    });

    await searchesDocumentation(list, tools);

    await list.check('errors say what to do next', async () => {
        const text = await tools.error('GetService', { operation: 'list', control_plane_id: NEVER });
        holds(text.includes('one gateway'), text);
        return fails(connection, tools.call('no-such-tool', {}), 'error:-32602');
    });

    await list.check('nothing was asked that nobody planned', async () => same((await tools.asked()).unplanned, []));
}
