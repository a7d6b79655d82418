// One's own account: password, second factor, sessions.
import { encode } from 'uqr';
import { call, providedSession } from './api.js';
import { ask, avatar, backLink, guarded, h, replace, toast, whenOf } from './dom.js';
import { t } from './i18n.js';
import { setBlocked } from './more.js';

const SVG = 'http://www.w3.org/2000/svg';

const button = (words, work, props) =>
  h('button', { type: 'button', onclick: () => guarded(work), ...props }, words);

// ---- password ------------------------------------------------------------------------

function changePassword() {
  const fields = {
    old: { label: t('Current password'), type: 'password', required: true, autocomplete: 'current-password' },
    fresh: { label: t('New password'), type: 'password', required: true, autocomplete: 'new-password' },
    again: {
      label: t('New password, again'),
      type: 'password',
      required: true,
      autocomplete: 'new-password',
    },
  };
  return ask(t('Change password'), fields, t('Change'), async ({ old, fresh, again }) => {
    if (fresh !== again) throw new Error(t("The new passwords aren't the same."));
    try {
      await call('changePassword', { body: { old, new: fresh } });
    } catch (error) {
      throw error.code === 'wrong_password' ? new Error(t('Wrong password.')) : error;
    }
    toast(t('Password changed. All other sessions have ended.'));
  });
}

// ---- second factor -------------------------------------------------------------------

// Dark squares as one path, with the quiet zone that ISO/IEC 18004 asks for.
function qrCode(text) {
  const { data, size } = encode(text, { border: 4 });
  const d = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', d);
  svg.setAttribute('viewBox', `0 0 ${size} ${size}`);
  svg.setAttribute('class', 'qr');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', t('QR code for your authenticator app'));
  svg.append(path);
  return svg;
}

const isWrongCode = ({ code, message }) => code === 'bad_request' && /wrong code/i.test(message);

async function turnOn(redraw) {
  const { data } = await call('startTwoFactor');
  const about = [
    h('p', {}, t('Scan this with your authenticator app, then type the code that it shows.')),
    qrCode(data.uri),
    h(
      'p',
      {},
      t('Or type this key into the app:'),
      ' ',
      h('code', { class: 'secret' }, data.secret.match(/.{1,4}/g).join(' ')),
    ),
    h('p', {}, h('a', { href: data.uri }, t('Open the authenticator app on this device'))),
  ];
  const fields = {
    code: {
      label: t('Code'),
      required: true,
      inputmode: 'numeric',
      autocomplete: 'one-time-code',
      maxlength: 10,
    },
  };
  let codes;
  const done = await ask(
    t('Set up two-factor sign-in'),
    fields,
    t('Turn on'),
    async ({ code }) => {
      try {
        const body = { code: code.replaceAll(' ', '') };
        codes = (await call('confirmTwoFactor', { body })).data.recoveryCodes;
      } catch (error) {
        throw isWrongCode(error)
          ? new Error(t("Wrong code. Check that your device's clock is right."))
          : error;
      }
    },
    about,
  );
  if (!done) return;
  await showCodes(codes);
  redraw();
}

function showCodes(codes) {
  const text = codes.join('\n');
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => toast(t('Copied.')),
      () => {},
    );
  const about = [
    h(
      'p',
      {},
      t(
        "Keep these codes in a safe place. Each signs you in once, should you lose your device. They aren't shown again.",
      ),
    ),
    h(
      'ul',
      { class: 'codes' },
      codes.map((code) => h('li', {}, h('code', {}, code))),
    ),
    h('p', {}, button(t('Copy'), copy)),
  ];
  return ask(t('Recovery codes'), {}, t("I've kept them"), undefined, about);
}

function turnOff(redraw) {
  const fields = {
    password: { label: t('Password'), type: 'password', required: true, autocomplete: 'current-password' },
  };
  return ask(t('Turn off two-factor sign-in?'), fields, t('Turn off'), async ({ password }) => {
    try {
      await call('endTwoFactor', { body: { password } });
    } catch (error) {
      throw error.code === 'wrong_password' ? new Error(t('Wrong password.')) : error;
    }
    redraw();
  });
}

// ---- sessions ------------------------------------------------------------------------

// What people call it; the whole text for what is not a browser.
function deviceOf(userAgent) {
  const browser = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari'].find((name) =>
    userAgent?.includes(`${name}/`),
  );
  const system = ['iPhone', 'iPad', 'Android', 'Windows', 'Mac OS X', 'Linux'].find((name) =>
    userAgent?.includes(name),
  );
  const names = { Edg: 'Edge', OPR: 'Opera', 'Mac OS X': 'macOS' };
  if (!browser) return userAgent || t('Unknown device');
  return [browser, system]
    .filter(Boolean)
    .map((name) => names[name] ?? name)
    .join(', ');
}

function sessionRow(one, redraw) {
  const end = async () => {
    await call('endSession', { params: { sessionId: one.id } });
    redraw();
  };
  const device = deviceOf(one.userAgent);
  return h(
    'li',
    {},
    h(
      'span',
      { class: 'grow' },
      h('span', { class: 'name', dir: 'auto' }, device),
      h(
        'small',
        {},
        [one.address, t('last used {when}', { when: whenOf(one.lastUsedAt) })].filter(Boolean).join(' · '),
      ),
    ),
    one.current
      ? h('small', {}, t('This one'))
      : button(t('End'), end, { 'aria-label': t('End the session: {device}', { device }) }),
  );
}

function blockedRow(who, redraw) {
  const end = async () => {
    await setBlocked(who, false);
    redraw();
  };
  return h(
    'li',
    {},
    avatar(who.name, who.id),
    h(
      'span',
      { class: 'grow' },
      h('span', { class: 'name', dir: 'auto' }, who.name),
      h('small', {}, `@${who.username}`),
    ),
    button(t('Unblock'), end, { 'aria-label': t('Unblock {name}', { name: who.name }) }),
  );
}

function endOthers(sessions, redraw) {
  return ask(t('End all other sessions?'), {}, t('End'), async () => {
    for (const { id, current } of sessions)
      if (!current) await call('endSession', { params: { sessionId: id } });
    redraw();
  });
}

// ---- together ------------------------------------------------------------------------

export function openAccount(view) {
  const body = h('div', { class: 'account' });
  let isClosed = false;

  async function draw() {
    const [{ data: me }, { data: sessions }, { data: blocked }] = await Promise.all([
      call('getMe'),
      call('listSessions'),
      call('listBlocks'),
    ]);
    if (isClosed) return;
    const redraw = () => guarded(draw);
    const provided = providedSession();
    replace(
      body,
      me.hasPassword
        ? [
            section(t('Password'), h('div', {}, button(t('Change password'), changePassword))),
            section(
              t('Two-factor sign-in'),
              h(
                'p',
                {},
                me.twoFactor
                  ? t('On: signing in needs a code from your authenticator app.')
                  : t('Off: your password is enough to sign in.'),
              ),
              h(
                'div',
                {},
                me.twoFactor
                  ? button(t('Turn off'), () => turnOff(redraw))
                  : button(t('Set up'), () => turnOn(redraw)),
              ),
            ),
          ]
        : section(t('Password'), h('p', {}, t('You sign in elsewhere. Change your password there.'))),
      section(
        t('Sessions'),
        provided &&
          h(
            'p',
            {},
            t('You are signed in at {host}, which knows this session.', {
              host: new URL(provided.issuer).host,
            }),
          ),
        h(
          'ul',
          { class: 'members' },
          sessions.map((one) => sessionRow(one, redraw)),
        ),
        sessions.some((one) => !one.current) &&
          h(
            'div',
            {},
            button(t('End all other sessions'), () => endOthers(sessions, redraw)),
          ),
      ),
      blocked.length > 0 &&
        section(
          t('Blocked users'),
          h(
            'ul',
            { class: 'members' },
            blocked.map((who) => blockedRow(who, redraw)),
          ),
        ),
    );
  }

  replace(view, h('header', { class: 'bar' }, backLink(), h('h1', {}, t('Account'))), body);
  guarded(draw);
  return {
    close() {
      isClosed = true;
    },
  };
}

function section(heading, ...children) {
  return h('section', { 'aria-label': heading }, h('h2', {}, heading), ...children);
}
