// The client of the scenarios, on the standard input and output of a process.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, Client } from './client.mjs';

const END_TIMEOUT = 30_000;

export class StdioClient extends Client {
    #child;
    #ended;

    constructor([command, ...args], patience) {
        super(patience);
        this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
        this.#ended = new Promise(resolve => {
            this.#child.on('error', resolve);
            this.#child.on('exit', (code, signal) => resolve(code ?? signal));
        });
        this.#child.stdin.on('error', () => {}); // it has ended: the answers that do not come say so
        createInterface({ input: this.#child.stdout }).on('line', line => {
            let message = line;
            try {
                message = JSON.parse(line);
            } catch { /* a stray */ }
            this.take(message);
        });
    }

    write(message) {
        this.#child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
    }

    cancel(id) {
        this.notify('notifications/cancelled', { requestId: id, reason: 'enough' });
    }

    /** Closes the input; gives back the code that the process ends with. */
    async close() {
        this.#child.stdin.end();
        const code = await Promise.race([this.#ended, after(END_TIMEOUT, 'still running')]);
        this.#child.kill('SIGKILL');
        return code;
    }
}
