// rest.js: one operation of REST, by its name in openapi.yaml.
import { RtError } from './errors.js';
import { operations } from './operations.js';

const ANSWER_MS = 15_000;

function operation(name) {
  if (!operations[name]) throw new TypeError(`there is no operation ${name}`);
  return operations[name];
}

export function address(base, name, params = {}, query = {}) {
  const filled = operation(name)[1].replace(/\{(\w+)\}/g, (_, parameter) => {
    if (params[parameter] === undefined) throw new TypeError(`parameter ${parameter} is missing`);
    return encodeURIComponent(params[parameter]);
  });
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return `${base}${filled}${given.length > 0 ? `?${new URLSearchParams(given)}` : ''}`;
}

async function read(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page.
    throw new RtError({ code: response.status >= 500 ? 'unavailable' : 'internal', message: `HTTP ${response.status}` }, response.status);
  }
}

// Without a `signal` of the caller's, an answer is waited for so long.  What has no answer throws what fetch() throws.
export async function request(base, name, { params, query, body, token, signal = AbortSignal.timeout(ANSWER_MS) } = {}) {
  const [method] = operation(name);
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(address(base, name, params, query), { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const reply = await read(response);
  if (reply.success === false) {
    const retryAfter = reply.error.retryAfter ?? (Number(response.headers.get('retry-after')) || undefined);
    throw new RtError({ ...reply.error, retryAfter, twoFactor: reply.twoFactor }, response.status);
  }
  return reply;
}
