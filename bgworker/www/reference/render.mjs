// render.mjs: makes a page without scripts from docs/openapi.yaml and docs/asyncapi.yaml; the gateway serves it as /reference.
//
//   node bgworker/www/reference/render.mjs > build/www/reference.html
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { nameOf, typescript } from '../../../clients/js/tools/typescript.mjs';

const load = async (name) => parse(await readFile(new URL(`../../../docs/${name}`, import.meta.url), 'utf8'));
const openapi = await load('openapi.yaml');
const asyncapi = await load('asyncapi.yaml');
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
const prose = (text) => escape(text ?? '').replace(/`([^`]*)`/g, '<code>$1</code>');
const paragraph = (text) => (text ? `<p>${prose(text)}</p>` : '');
const names = new Set([...Object.keys(openapi.components.schemas), ...Object.keys(asyncapi.components.schemas)]);

function resolve(thing) {
  return thing?.$ref ? resolve(thing.$ref.slice(2).split('/').reduce((value, key) => value[key], openapi)) : thing;
}

// Names of schemas lead to them.
function type(schema) {
  const text = escape(typescript(schema)).replace(/\b[A-Z]\w+\b/g, (name) => (names.has(name) ? `<a href="#schema-${name}">${name}</a>` : name));
  return `<pre>${text}</pre>`;
}

function section(id, title, summary, body) {
  return `<details id="${id}"><summary>${title} <span>${prose(summary)}</span></summary>${body}</details>\n`;
}

function parameters(operation, path) {
  const all = [...(openapi.paths[path].parameters ?? []), ...(operation.parameters ?? [])].map(resolve);
  const row = ({ name, in: place, required, schema, description }) =>
    `<tr><td><code>${escape(name)}</code></td><td>${place}${required ? '' : ', optional'}</td><td><code>${escape(typescript(schema))}</code></td><td>${prose(description)}</td></tr>`;
  return all.length === 0 ? '' : `<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>${all.map(row).join('')}</table>`;
}

function response([status, thing]) {
  const { description, content } = resolve(thing);
  const schema = content?.['application/json']?.schema;
  return `<h4>${status}</h4>${paragraph(description)}${schema && status < 300 ? type(schema) : ''}`;
}

function operation({ path, method, ...op }) {
  const body = resolve(op.requestBody)?.content?.['application/json']?.schema;
  return section(`operation-${op.operationId}`, `<b>${method.toUpperCase()}</b> <code>${escape(path)}</code>`, op.summary, [
    paragraph(op.description), parameters(op, path), body ? `<h4>body</h4>${type(body)}` : '', ...Object.entries(op.responses).map(response),
  ].join(''));
}

function tag({ name, description }) {
  const operations = Object.entries(openapi.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]?.tags.includes(name)).map((method) => ({ path, method, ...item[method] })));
  return `<h3>${escape(name)}</h3>${paragraph(description)}${operations.map(operation).join('')}`;
}

function event(op) {
  const name = nameOf(op.messages[0].$ref);
  const { payload, summary } = asyncapi.components.messages[name];
  const reply = op.reply && asyncapi.components.messages[nameOf(op.reply.messages[0].$ref)].payload;
  return section(`event-${name}`, `<code>${name}</code>`, summary, [
    type(payload), op['x-alias'] ? paragraph(`Also \`${op['x-alias']}\`.`) : '',
    reply ? `<h4>acknowledgement</h4>${type(reply)}` : '', op['x-answer'] ? paragraph(`The caller gets it as the event \`${op['x-answer']}\`, too.`) : '',
  ].join(''));
}

function events(action) {
  return Object.values(asyncapi.operations).filter((op) => op.action === action).map(event).join('');
}

function schemas() {
  const all = { ...openapi.components.schemas, ...asyncapi.components.schemas };
  return Object.keys(all).sort().map((name) => section(`schema-${name}`, `<code>${name}</code>`, all[name].description, type(all[name]))).join('');
}

process.stdout.write(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>rt ${escape(openapi.info.version)}: reference</title>
<link rel="stylesheet" href="assets/reference.css">
<nav><a href="#rest">REST</a> <a href="#client-events">Events of clients</a> <a href="#server-events">Events of the server</a>
<a href="#schemas">Schemas</a> <a href="openapi.yaml">openapi.yaml</a> <a href="asyncapi.yaml">asyncapi.yaml</a></nav>
<main>
<h1>rt ${escape(openapi.info.version)}</h1>
${paragraph(openapi.info.description)}
<h2 id="rest">REST</h2>
${openapi.tags.map(tag).join('')}
<h2 id="client-events">Events of clients</h2>
${paragraph(asyncapi.info.description)}
${events('receive')}
<h2 id="server-events">Events of the server</h2>
${events('send')}
<h2 id="schemas">Schemas</h2>
${schemas()}
</main>
</html>
`);
