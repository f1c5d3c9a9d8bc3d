// What the suites of the tools for admin APIs have in common. They stand in front of admin.mjs. The clients themselves
// hold structured content to the output schemas that were listed.

import { holds, same, textOf, until } from './checks.mjs';

/** Ways to use the tools, and to ask admin.mjs what came of it. */
export class Tools {
    constructor(connection, options) {
        this.connection = connection;
        this.admin = options.admin;
    }

    call(name, args, more) {
        return this.connection.callTool({ name, arguments: args }, more);
    }

    /** What the API was asked. */
    async asked() {
        return (await fetch(`${this.admin}/test/seen`)).json();
    }

    /** The structured content of an answer that is no error. */
    async content(name, args) {
        const result = await this.call(name, args);
        holds(!result.isError, `it is an error: ${textOf(result)}`);
        same(JSON.parse(textOf(result)), result.structuredContent, 'the text says something else');
        return result.structuredContent;
    }

    /** The text of an answer that is an error. */
    async error(name, args) {
        const result = await this.call(name, args);
        holds(result.isError, `it is none: ${textOf(result)}`);
        return textOf(result);
    }

    /** A write is shown with dry_run, refused without, and never sent. */
    async isShown(name, args, method, path) {
        const before = (await this.asked()).seen.length;
        const shown = await this.content(name, { ...args, dry_run: true });
        same([shown.dry_run, shown.request.method, shown.request.path], [true, method, path]);
        const refused = await this.error(name, args);
        holds(refused.includes('--allow-write'), refused);
        same((await this.asked()).seen.length, before, 'requests');
        return shown;
    }
}

/** The checks that are the same for every admin API. */
export async function commonChecks(list, tools, { originals, never, line }) {
    await list.check('lists the tools of the original, with annotations and both schemas', async () => {
        const listed = await tools.connection.listTools();
        for (const name of originals) holds(listed.some(tool => tool.name === name), `${name} is missing`);
        for (const { name, annotations, inputSchema, outputSchema } of listed) {
            same([inputSchema?.type, outputSchema?.type], ['object', 'object'], `schemas of ${name}`);
            same(typeof annotations?.readOnlyHint, 'boolean', `readOnlyHint of ${name}`);
        }
        return `${listed.length} tools, ${Math.round(JSON.stringify(listed).length / 1024)} KiB`;
    });

    await list.check('a call that is given up is given up at the API', async () => {
        const abort = new AbortController();
        const before = (await tools.asked()).givenUp.length;
        const times = all => all.filter(asked => asked === line).length;
        const begun = times((await tools.asked()).seen);
        const outcome = tools.call(...never, { signal: abort.signal }).then(() => 'a result', error => error);
        await until(async () => times((await tools.asked()).seen) > begun, 5000, () => 'the API was not asked');
        abort.abort(new Error('changed my mind'));
        holds((await outcome) instanceof Error, `it gave ${await outcome}`);
        await until(async () => (await tools.asked()).givenUp.length > before, 5000, () => 'the API still works on it');
    });
}
