// docs/openapi.yaml and docs/asyncapi.yaml, and what is checked against them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

const file = (name) => new URL(`../../../${name}`, import.meta.url);
const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));

export const version = (await readFile(file('rt.control'), 'utf8')).match(/^default_version = '(.*)'/m)[1];
export const OPENAPI = file('docs/openapi.yaml');
export const ASYNCAPI = file('docs/asyncapi.yaml');
export const openapi = parse(await readFile(OPENAPI, 'utf8'));
// A schema that both have is in openapi.yaml.
export const asyncapi = JSON.parse(JSON.stringify(parse(await readFile(ASYNCAPI, 'utf8'))).replaceAll('./openapi.yaml#/', '#/'));

// A key that a page does not list is a fault of the page, though clients must bear it.
export function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  if (schema.properties && schema.type && !('additionalProperties' in schema)) copy.additionalProperties = false;
  return copy;
}

const schemas = { ...openapi.components.schemas, ...asyncapi.components.schemas };
const components = { schemas };
const closedComponents = { schemas: closed(schemas) };
const compiled = new Map();

function validator(schema, isClosed) {
  const key = `${isClosed} ${JSON.stringify(schema)}`;
  if (!compiled.has(key)) {
    compiled.set(key, ajv.compile(isClosed ? { ...closed(schema), components: closedComponents } : { ...schema, components }));
  }
  return compiled.get(key);
}

// What the server sends has the keys of the page and no others.
export function checkSent(schema, value, what) {
  const validate = validator(schema, true);
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}

// What a client sends has at least those.
export function checkReceived(schema, value, what) {
  const validate = validator(schema, false);
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}
