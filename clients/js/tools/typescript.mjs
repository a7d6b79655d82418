// typescript.mjs: JSON Schema, as far as the descriptions use it, as TypeScript.
const NAME = /^[A-Za-z_$][\w$]*$/;

export const nameOf = (ref) => ref.split('/').at(-1);

// "join-chat-rooms" as JoinChatRooms
export const pascal = (text) => text.split(/[^A-Za-z0-9]+/).map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');

function comment(schema, indent) {
  const text = schema.description?.replace(/\s+/g, ' ').trim();
  return text ? `${indent}/** ${text.replaceAll('*/', '* /')} */\n` : '';
}

function object(schema, indent) {
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(([name, property]) => {
    const key = NAME.test(name) ? name : JSON.stringify(name);
    return `${comment(property, inner)}${inner}${key}${required.has(name) ? '' : '?'}: ${typescript(property, inner)};\n`;
  });
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('')}${indent}}`;
}

function group(text) {
  return /[|&]/.test(text.replace(/\{[^]*\}/g, '')) ? `(${text})` : text;
}

function ofType(type, schema, indent) {
  if (type === 'integer') return 'number';
  if (type === 'array') return `${group(typescript(schema.items ?? {}, indent))}[]`;
  if (type !== 'object') return type;
  if (schema.properties) return object(schema, indent);
  const values = schema.additionalProperties;
  return `Record<string, ${values && typeof values === 'object' ? typescript(values, indent) : 'unknown'}>`;
}

export function typescript(schema, indent = '') {
  if (schema.$ref) return nameOf(schema.$ref);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return several.map((one) => typescript(one, indent)).join(' | ');
  if (schema.allOf) {
    const [first, ...others] = schema.allOf.map((one) => (one.$ref || one.properties ? typescript(one, indent) : one.required.map((key) => `'${key}'`).join(' | ')));
    return [first, ...others.map((keys) => `Required<Pick<${first}, ${keys}>>`)].join(' & ');
  }
  if (Array.isArray(schema.type)) return schema.type.map((type) => ofType(type, schema, indent)).join(' | ');
  return schema.type ? ofType(schema.type, schema, indent) : 'unknown';
}
