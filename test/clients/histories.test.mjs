// Random histories (histories/): ten users with two devices each; at the end each device holds what the database holds.
// `make soak` runs long ones for hours.  RT_HISTORIES chooses seeds, as in RT_HISTORIES="7 8".
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failureOf } from './histories/run.mjs';

const SEEDS = process.env.RT_HISTORIES?.split(/[ ,]+/).map(Number) ?? Array.from({ length: 10 }, (_, i) => i + 1);

describe('random histories', { concurrency: 2 }, () => {
  for (const seed of SEEDS) test(`seed ${seed}`, async () => assert.equal(await failureOf({ seed, seconds: 8 }), undefined));
});
