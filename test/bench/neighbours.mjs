// Part p's load: others' p99 for send and history, without and under each bad neighbour.  It needs RT_URL and libpq's variables.
// Prints for each case a line: name, p99 in ms without and with of send, then of history, and errors; with tabs between.
// RT_BENCH_NEIGHBOURS names the cases, such as "1 18"; default: all.
import { execFileSync, fork, spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const url = new URL(process.env.RT_URL);
const SECONDS = Number(process.env.RT_BENCH_SECONDS || 10);
const RATE = 20; // of sends, and of histories, a second
const OTHERS = 10; // users who take turns, so that no rate limit is reached
const SLEEP = 600; // seconds that the open transaction would last

function sql(text) {
  return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', text], { encoding: 'utf8' }).trim();
}

function request(agent, method, path, token, body, localAddress) {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const made = http.request({ host: url.hostname, port: url.port, agent, method, path, headers, localAddress, timeout: 30_000 }, (reply) => {
      reply.resume().on('end', () => resolve(reply.statusCode)).on('error', () => resolve(0));
    });
    made.on('error', () => resolve(0)).on('timeout', () => made.destroy());
    made.end(body && JSON.stringify(body));
  });
}

// ---- bad neighbours, each in a process of its own until it is killed ---------------------------

const neighbours = {
  // A transaction that holds six rooms, while members go on sending there.
  async 1({ held, tokens }) {
    const psql = spawn('psql', ['-X', '-q'], { stdio: ['pipe', 'ignore', 'ignore'] });
    psql.stdin.write(`BEGIN; SELECT 1 FROM rt.rooms WHERE id IN (${held}) FOR UPDATE; SELECT pg_sleep(${SLEEP});\n`);
    const agent = new http.Agent({ keepAlive: true });
    for (let i = 0; i < 8; i++) {
      (async () => {
        for (;;) {
          await request(agent, 'POST', `/api/chat/rooms/${held[i % held.length]}/msgs`, tokens[i % 2], { content: 'x' });
          await sleep(10);
        }
      })();
    }
  },
  // 54 kB of requests for /metrics in one write, again and again.
  15() {
    const socket = net.connect({ host: url.hostname, port: url.port, localAddress: '127.0.0.9' });
    const write = () => socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1500));
    socket.resume().on('connect', write).on('drain', write).on('error', () => {}).on('close', () => setTimeout(neighbours[15], 100));
  },
  // Bodies of 1 MB, one byte short, from five addresses.
  16() {
    const open = [];
    const body = Buffer.alloc(999_999, 'a');
    setInterval(() => {
      const socket = net.connect({ host: url.hostname, port: url.port, localAddress: `127.0.0.${10 + (open.length % 5)}` });
      socket.resume().on('error', () => {});
      socket.write('POST /api/chat/rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
      socket.write(body);
      open.push(socket);
      if (open.length > 300) open.shift().destroy();
    }, 20);
  },
  // 2,000 connections that say nothing, from three addresses.
  17() {
    let made = 0;
    const connect = () => {
      made++;
      net.connect({ host: url.hostname, port: url.port, localAddress: `127.0.0.${20 + (made % 3)}` }).on('error', () => {}).resume();
    };
    const timer = setInterval(() => {
      for (let i = 0; i < 20; i++) connect();
      if (made >= 2000) clearInterval(timer);
    }, 20);
  },
  // Wrong passwords of 600 names from five addresses.
  18() {
    for (let i = 0; i < 20; i++) {
      (async () => {
        for (let n = i; ; n += 20) {
          await request(undefined, 'POST', '/auth', null, { username: `u${n % 600}`, password: 'wrong' }, `127.0.0.${30 + (i % 5)}`);
          await sleep(20);
        }
      })();
    }
  },
};

// ---- the others ----------------------------------------------------------------------------------

// Open loop: a request is timed from when it was due.
async function measure(room, tokens, seconds) {
  const agent = new http.Agent({ keepAlive: true });
  const took = { send: [], history: [] };
  const waiting = [];
  let errors = 0;
  const one = async (kind, due, token) => {
    const path = `/api/chat/rooms/${room}/msgs`;
    const status = kind === 'send' ? await request(agent, 'POST', path, token, { content: 'x' }) : await request(agent, 'GET', path, token);
    took[kind].push(performance.now() - due);
    if (status !== (kind === 'send' ? 201 : 200)) errors++;
  };
  const begin = performance.now();
  for (let i = 0; i < seconds * RATE; i++) {
    for (const [kind, shift] of [['send', 0], ['history', 0.5]]) {
      const due = begin + ((i + shift) * 1000) / RATE;
      await sleep(Math.max(0, due - performance.now()));
      waiting.push(one(kind, due, tokens[i % tokens.length]));
    }
  }
  await Promise.all(waiting);
  agent.destroy();
  const p99 = (all) => all.sort((a, b) => a - b)[Math.floor(all.length * 0.99)];
  return { send: p99(took.send), history: p99(took.history), errors };
}

async function main() {
  const users = Array.from({ length: OTHERS + 2 }, (_, i) => `neighbour${i}`);
  const list = (ids) => `ARRAY[${ids.map((id) => `'${id}'`)}]`;
  sql(`SELECT rt.create_user(u, u) FROM unnest(${list(users)}) AS u`);
  const tokens = users.map((user) => sql(`SELECT rt.issue_token('${user}')`));
  const create = (ids) => sql(`SELECT rt.create_room('neighbours', ${list(ids)})`);
  const held = Array.from({ length: 6 }, () => create(users.slice(0, 2)));
  const room = create(users.slice(2));
  const others = tokens.slice(2);
  await measure(room, others, 2);
  const before = await measure(room, others, SECONDS);
  const results = [];
  for (const name of process.env.RT_BENCH_NEIGHBOURS?.split(' ') ?? Object.keys(neighbours)) {
    const child = fork(new URL(import.meta.url), [name, JSON.stringify({ held, tokens })]);
    await sleep(2000);
    if (child.exitCode !== null) throw new Error(`neighbour ${name} ended`);
    const result = await measure(room, others, SECONDS);
    child.kill('SIGKILL');
    const ended = sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(${SLEEP})%' AND pid <> pg_backend_pid()`);
    if (name === '1' && ended !== 't') throw new Error('no transaction held the rooms');
    await sleep(1000);
    results.push({ name, ...result });
  }
  const after = await measure(room, others, SECONDS);
  const base = { send: Math.max(before.send, after.send), history: Math.max(before.history, after.history) };
  for (const { name, send, history, errors } of results) {
    console.log([name, ...[base.send, send, base.history, history].map((ms) => ms.toFixed(1)), errors].join('\t'));
  }
  console.log(['none', ...[before.send, after.send, before.history, after.history].map((ms) => ms.toFixed(1)), before.errors + after.errors].join('\t'));
}

if (process.argv[2]) await neighbours[process.argv[2]](JSON.parse(process.argv[3]));
else await main();
