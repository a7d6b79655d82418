// shell.mjs FOLDER METAFILE: completes a bundle.  index.html names the parts that are loaded at once, and those of the chat for
// app.js; sw.js gets the list of files that it keeps, and a version that follows from what is in them.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

const [out, metafile] = process.argv.slice(2);
const { outputs } = JSON.parse(await readFile(metafile, 'utf8'));
const here = (name) => new URL(`src/${name}`, import.meta.url);
const names = new Map(Object.keys(outputs).map((path) => [path, relative(out, join(process.cwd(), path))]));
const entry = (source) => Object.keys(outputs).find((path) => outputs[path].entryPoint === `src/${source}`);

// What a part needs to run, itself included.
function closure(path, found = new Set()) {
  if (!path || found.has(path)) return found;
  found.add(path);
  for (const { path: next, kind } of outputs[path].imports) if (kind === 'import-statement') closure(next, found);
  return found;
}

const of = (source) => [...closure(entry(source))].map((path) => names.get(path));
const first = of('app.js');
const chat = of('chat.js').filter((name) => !first.includes(name));
const later = ['extras.js', 'markdown.js'].flatMap(of);

const preloads = first.filter((name) => name !== 'assets/app.js').map((name) => `<link rel="modulepreload" href="${name}">\n`);
const html = (await readFile(here('index.html'), 'utf8'))
  .replace('<script type="module"', `${preloads.join('')}<script type="module" data-later="${chat.join(' ')}"`);
await writeFile(join(out, 'index.html'), html);

const files = [...new Set([...first, ...chat, ...later, 'assets/app.css', 'assets/icon.svg'])].sort();
const hash = createHash('sha256').update(html).update(await readFile(here('sw.js')));
for (const file of files) hash.update(file).update(await readFile(join(out, file)));
const shell = { version: hash.digest('hex').slice(0, 16), files: ['', ...files] };
await writeFile(join(out, 'sw.js'), `const SHELL = ${JSON.stringify(shell)};\n${await readFile(here('sw.js'), 'utf8')}`);
