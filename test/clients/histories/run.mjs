#!/usr/bin/env node
// Runs random histories, one after another or some at a time, and says what differed.
//
//   node test/clients/histories/run.mjs [--seed N] [--seeds COUNT] [--seconds S] [--jobs J] [--hours H]
//   node test/clients/histories/run.mjs --faults          plants faults, of which each must be found
//
// With --hours it goes on with one seed after another for so long.  What a device saw, and what was done, is written to
// build/histories/SEED.log where something differed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faults } from './faults.mjs';
import { History } from './history.mjs';

const LOGS = join(dirname(fileURLToPath(import.meta.url)), '../../../build/histories');

function written(history) {
  mkdirSync(LOGS, { recursive: true });
  const path = join(LOGS, `${history.seed}.log`);
  const devices = history.devices.flatMap(({ name, lines }) => lines.map((line) => `${line.slice(0, 12)} ${name} ${line.slice(13)}`));
  const lines = [...history.actions, ...devices];
  const at = (line) => line.slice(0, 12);
  lines.sort((a, b) => (at(a) < at(b) ? -1 : Number(at(a) > at(b)))); // stable: what one device saw stays in order
  writeFileSync(path, `${[...history.faults, ...history.differences].join('\n')}\n\n${lines.join('\n')}\n`);
  return path;
}

// The text of the failure, or undefined.
export async function failureOf(options) {
  const history = await new History(options).run();
  const wrong = [...new Set([...history.faults, ...history.differences])];
  if (options.verbose) console.log(`seed ${history.seed}: ${JSON.stringify(history.counts)}`);
  if (wrong.length === 0) return undefined;
  return `seed ${history.seed}, ${wrong.length} wrong, see ${written(history)}:\n${wrong.slice(0, 12).map((text) => `  ${text.slice(0, 400)}`).join('\n')}`;
}

// Those that the checker does not find are failures.
async function tryFaults() {
  for (const [name, fault] of Object.entries(faults)) {
    const failure = await failureOf({ seed: 1, seconds: 3, settleMs: 20_000, fault });
    console.log(`${name}: ${failure ? 'found' : 'NOT FOUND'}`);
    if (!failure) process.exitCode = 1;
  }
}

async function main() {
  const strings = ['seed', 'seeds', 'seconds', 'jobs', 'hours'].map((name) => [name, { type: 'string' }]);
  const { values } = parseArgs({ options: { ...Object.fromEntries(strings), faults: { type: 'boolean' } } });
  if (values.faults) return tryFaults();
  const first = Number(values.seed ?? 1);
  const endsAt = values.hours && Date.now() + Number(values.hours) * 3_600_000;
  const last = first + Number(values.seeds ?? 1);
  let seed = first;
  let failures = 0;
  const work = async () => {
    while (endsAt ? Date.now() < endsAt : seed < last) {
      const number = seed++;
      const failure = await failureOf({ seed: number, seconds: Number(values.seconds ?? 60), verbose: true });
      console.log(failure ?? `seed ${number}: ok`);
      if (failure) failures++;
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs ?? 1) }, work));
  if (failures > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
