// rest.js: one operation of REST, by its name in openapi.yaml.
import { RtError } from './errors.js';
import { operations } from './operations.js';

function address(base, path, params = {}, query = {}) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    if (params[name] === undefined) throw new TypeError(`parameter ${name} is missing`);
    return encodeURIComponent(params[name]);
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

export async function request(base, name, { params, query, body, token, signal } = {}) {
  const operation = operations[name];
  if (!operation) throw new TypeError(`there is no operation ${name}`);
  const [method, path] = operation;
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(address(base, path, params, query), { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const reply = await read(response);
  if (reply.success === false) {
    const retryAfter = reply.error.retryAfter ?? (Number(response.headers.get('retry-after')) || undefined);
    throw new RtError({ ...reply.error, retryAfter }, response.status);
  }
  return reply;
}
