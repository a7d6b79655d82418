// Chromium, the page that its tabs show, and what tests do with a tab.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

// Far more than anything here takes on a slow machine: it is what a failure costs.
const WAIT_MS = 90_000;
const CHROMIUM = process.env.RT_CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];
const here = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

// Serves the page and its script; result: { origin, close }.
export async function servePage() {
  const { outputFiles: [script] } = await build({ entryPoints: [here('page.mjs')], bundle: true, write: false, format: 'iife' });
  const html = await readFile(here('page.html'));
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script.contents : html);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => { server.closeAllConnections(); server.close(); },
  };
}

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS, ignoreDefaultArgs: ['--headless'], timeout: WAIT_MS });
}

// A page of a context of its own, as patient as the tests are.
export async function openPage(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(WAIT_MS);
  return context.newPage();
}

// Connections that pages of it make from now on are in window.connections.
export function watchConnections(page) {
  return page.addInitScript(() => {
    window.connections = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...options) {
        super(...options);
        window.connections.push(this);
      }
    };
  });
}

// The codecs that connections send sound with.
export function soundSent(page) {
  return page.evaluate(() => window.connections
    .flatMap((connection) => connection.getSenders())
    .filter(({ track }) => track?.kind === 'audio')
    .map((sender) => sender.getParameters().codecs[0]?.mimeType)
    .filter(Boolean));
}

// Asks until the answer is truthy; gives it.  what may be a function, called for the error's text.
export async function until(what, ask, timeoutMs = WAIT_MS) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    last = await ask();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`in vain for ${timeoutMs} ms: ${typeof what === 'function' ? await what() : what}`);
}

// One tab of a context of its own: one participant.
export class Tab {
  static async open(browser, origin, options) {
    const tab = new Tab(await openPage(browser), origin, options);
    tab.page.on('pageerror', (error) => tab.errors.push(String(error)));
    await tab.load();
    return tab;
  }

  constructor(page, origin, options) {
    Object.assign(this, { page, origin, options, errors: [] });
  }

  async load() {
    await this.page.goto(this.origin);
    this.participantId = await this.page.evaluate((options) => window.startPeer(options), this.options);
  }

  // A method of the page's peer.
  do(method, ...args) {
    return this.page.evaluate(([name, list]) => window.peer[name](...list), [method, args]);
  }

  ask(event, payload) {
    return this.do('ask', event, payload);
  }

  events(name) {
    return this.page.evaluate((wanted) => window.peer.events.filter((e) => e.name === wanted), name);
  }

  // The consumer of what `from` sends with that source; undefined if there is none.
  async stream(from, source) {
    return (await this.do('received')).find((s) => s.source === source && s.participantId === from.participantId);
  }

  // Waits until it shows n more frames than it does now; gives the state then.
  async frames(from, source = 'camera', n = 20, timeoutMs = WAIT_MS) {
    const before = (await this.stream(from, source))?.frames ?? 0;
    return until(`${n} frames of the ${source}`, async () => {
      const s = await this.stream(from, source);
      return s && s.frames >= before + n && s.videoWidth > 0 ? s : null;
    }, timeoutMs);
  }

  // Waits until more sound has come.
  async sound(from, timeoutMs = WAIT_MS) {
    const before = (await this.stream(from, 'microphone'))?.energy ?? 0;
    return until('sound', async () => {
      const s = await this.stream(from, 'microphone');
      return s && s.energy > before ? s : null;
    }, timeoutMs);
  }

  close() {
    return this.page.context().close();
  }
}
