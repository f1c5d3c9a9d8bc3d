// `requestState`: what the server must remember between two rounds of one request, in the client's hands.
//
// The client may send anything back, so the state is signed, belongs to one request and ends.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { invalidParams, isObject } from './wire.mjs';

const key = randomBytes(32);
const LIFETIME = 5 * 60_000;

const sign = text => createHmac('sha256', key).update(text).digest();

/** Seals `answers` for the request that `binding` describes. */
export function seal(binding, answers) {
    const body = { binding, answers, expires: Date.now() + LIFETIME, nonce: randomBytes(6).toString('hex') };
    const text = Buffer.from(JSON.stringify(body)).toString('base64url');
    return `${text}.${sign(text).toString('base64url')}`;
}

/** The answers in a sealed state. Throws when it is not what `seal` made for the same request, or is too old. */
export function unseal(binding, state) {
    const refused = why => invalidParams(`Invalid requestState: ${why}`);
    if (typeof state !== 'string') throw refused('it is not a string');
    const [text, mac, ...rest] = state.split('.');
    const given = Buffer.from(mac ?? '', 'base64url');
    // Text that decodes to the same bytes is still not what we made.
    const exact = rest.length === 0 && given.toString('base64url') === mac;
    const expected = sign(text);
    if (!exact || given.length !== expected.length || !timingSafeEqual(given, expected)) {
        throw refused('the signature is wrong');
    }
    const body = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (body.binding !== binding) throw refused('it belongs to another request');
    if (body.expires < Date.now()) throw refused('it has expired');
    return isObject(body.answers) ? body.answers : {};
}
