// A person at the application that the gateway serves, in a browser window of their own.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { openPage, until } from './browser.mjs';
import { steadyVoice } from './voice.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENSHOTS = fileURLToPath(new URL('../../../build/screenshots/', import.meta.url));

export const DESKTOP = { viewport: { width: 1100, height: 720 } };
export const PHONE = { viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true };

export class Person {
  static async open(browser, cluster, options = DESKTOP) {
    const page = await openPage(browser, { serviceWorkers: 'block', ...options }); // what is tested is what the server has
    const person = new Person(page.context(), page);
    person.page.on('pageerror', (error) => person.errors.push(String(error)));
    await person.page.goto(cluster.url);
    return person;
  }

  // In, with the password that Cluster.users gives; the rooms are there.
  static async signedIn(browser, cluster, name, options) {
    const person = await Person.open(browser, cluster, options);
    await person.signIn(name, `${name}-password`);
    await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
    return person;
  }

  constructor(context, page) {
    Object.assign(this, { context, page, errors: [] });
  }

  async signIn(name, password) {
    await this.page.getByLabel('Username').fill(name);
    await this.page.getByLabel('Password').fill(password);
    await this.button('Sign in').click();
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  go(hash) {
    return this.page.evaluate((wanted) => { location.hash = wanted; }, hash);
  }

  // ---- chat ----

  roomLink(name) {
    return this.page.locator('.rooms a', { has: this.page.locator('.who', { hasText: name }) });
  }

  async openRoom(name) {
    await this.roomLink(name).click();
    await this.page.getByRole('heading', { name, exact: true }).waitFor();
  }

  get input() {
    return this.page.getByLabel('Message', { exact: true });
  }

  async say(text) {
    await this.input.fill(text);
    await this.input.press('Enter');
  }

  // The bubble with exactly this text.
  bubble(text) {
    return this.page.locator('.messages > li', { has: this.page.locator('.text', { hasText: new RegExp(`^${RegExp.escape?.(text) ?? text}$`) }) });
  }

  texts() {
    return this.page.locator('.messages .text').allTextContents();
  }

  // The text field of a dialog that asks.
  field(label) {
    return this.page.getByRole('dialog').getByLabel(label, { exact: true });
  }

  // Answers a dialog that asks.
  async answer(button) {
    await this.page.getByRole('dialog').getByRole('button', { name: button, exact: true }).click();
  }

  // The tools of a bubble show themselves to whoever points at it.
  async use(text, tool) {
    await this.bubble(text).hover();
    await this.bubble(text).getByRole('button', { name: tool }).click();
  }

  ticks(text) {
    return this.bubble(text).locator('.ticks').getAttribute('aria-label');
  }

  // ---- meetings ----

  async join(meetingId, { password } = {}) {
    await this.go(`#/meeting/${meetingId}`);
    await this.button('Join').waitFor();
    if (password) await this.page.getByLabel('Meeting password').fill(password);
    await this.ready();
    await this.button('Join').click();
    await this.page.getByRole('group', { name: 'Meeting' }).waitFor();
  }

  // The lobby has both devices.
  async ready() {
    for (const device of ['Camera', 'Microphone'])
      await until(`the ${device}`, async () => (await this.button(device).getAttribute('aria-pressed')) === 'true');
  }

  // From now on the microphone gives a steady voice.
  async hum() {
    await this.page.evaluate(`window.steadyVoice = ${steadyVoice}`);
    await this.page.evaluate(() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await real(wanted);
        for (const track of stream.getAudioTracks()) {
          stream.removeTrack(track);
          stream.addTrack(await window.steadyVoice());
        }
        return stream;
      };
    });
  }

  // Out of the meeting, or of its lobby.
  async leave() {
    await this.go('#/');
    if (await this.button('Leave').isVisible()) await this.button('Leave').click();
  }

  tile(name) {
    return this.page.locator('.tile', { has: this.page.locator('.name', { hasText: name }) });
  }

  // Waits until the picture of a tile moves on.
  async sees(name) {
    const video = this.tile(name).locator('video');
    await video.waitFor();
    const time = () => video.evaluate((element) => (element.videoWidth > 0 ? element.currentTime : 0));
    const before = await time();
    await until(`a picture of ${name}`, async () => (await time()) > before);
  }

  // Notes from now on whether anything that matches is in the page, however short; a wait for it might look too late.
  // Result: waits until there was.
  async glimpse(selector) {
    const name = `glimpse ${Math.random()}`;
    await this.page.evaluate(([key, wanted]) => {
      const watcher = new MutationObserver(() => {
        if (!document.querySelector(wanted)) return;
        window[key] = true;
        watcher.disconnect();
      });
      watcher.observe(document, { subtree: true, childList: true, attributes: true });
    }, [name, selector]);
    return () => until(`a glimpse of ${selector}`, () => this.page.evaluate((key) => window[key], name));
  }

  // That it is said that the server cannot be reached.
  glimpseOffline() {
    return this.glimpse('.banner:not([hidden])');
  }

  async toast() {
    return (await this.page.locator('.toast').allTextContents()).join(' ');
  }

  // ---- judging ----

  async screenshot(name) {
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
  }

  // What is wrong with the view, by day and by night; [] is good.  Leaves a picture of both.
  async faults(name) {
    const found = [];
    for (const colorScheme of ['light', 'dark']) {
      await this.page.emulateMedia({ colorScheme });
      await this.screenshot(colorScheme === 'dark' ? `${name}-dark` : name);
      for (const fault of [...(await this.barriers()), ...(await this.overflows())]) found.push(`${colorScheme}: ${fault}`);
    }
    await this.page.emulateMedia({ colorScheme: null });
    return found;
  }

  // What axe finds, of whatever weight.
  async barriers() {
    await this.page.evaluate(axe);
    return this.page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    });
  }

  // Where the page is wider than the window, which buttons and pictures reach out of it, and which words have no room for two letters
  // side by side.
  overflows() {
    return this.page.evaluate(() => {
      const { scrollWidth, clientWidth, clientHeight } = document.documentElement;
      const isOut = (node) => {
        const { left, right, bottom, width } = node.getBoundingClientRect();
        const isOver = left < -1 || right > clientWidth + 1;
        if (node.closest('.wide')) return false; // a table that scrolls by itself
        return width > 0 && (isOver || (bottom > clientHeight + 1 && node.matches('.tile, .controls *')));
      };
      const isSqueezed = (node) => {
        const { width, height } = node.getBoundingClientRect();
        return width > 1 && height > 4 * width && !node.childElementCount && node.textContent.trim().length > 4;
      };
      const out = [...document.querySelectorAll('button, a.button, input, .bubble, .tile')].filter(isOut);
      const squeezed = [...document.querySelectorAll('span, small, strong, p, label, h1, h2')].filter(isSqueezed);
      return [
        ...(scrollWidth > clientWidth ? ['the page is too wide'] : []),
        ...out.map((node) => `out of sight: ${node.outerHTML.slice(0, 80)}`),
        ...squeezed.map((node) => `squeezed: ${node.outerHTML.slice(0, 80)}`),
      ];
    });
  }

  close() {
    return this.context.close();
  }
}
