// Usernames and passwords by PRECIS: RFC 8264, RFC 8265, RFC 5892 (context), RFC 5893 (direction).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';

let cluster;
before(async () => { cluster = await Cluster.start({ 'rt.rate_logins': '10000' }); });
after(async () => { await cluster?.stop(); });

const login = async (username, password) => (await cluster.rest('POST', '/auth', undefined, { username, password })).status;
let last = 0;
const create = (username, password = 'a password') => cluster.sql('SELECT rt.create_user($1, $2, $3, $4)', [`p${++last}`, 'Name', password, username]);
const stored = (username) => cluster.value('SELECT u.username FROM rt.users AS u WHERE u.id = $1', [`p${last}`]).then((is) => assert.equal(is, username));

test('what is wrong with a user is said without the row, which has the hash of the password', async () => {
  const hash = `$2a$10$${'x'.repeat(53)}`;
  const good = { id: 'row', username: 'row', name: 'Row', created_at: new Date(), is_admin: false, password_hash: hash };
  const insert = (given) => cluster.sql('INSERT INTO rt.users (id, username, name, created_at, is_admin, password_hash) VALUES ($1, $2, $3, $4, $5, $6)',
    Object.values({ ...good, ...given }));
  const update = (given) => cluster.sql(`UPDATE rt.users SET ${Object.keys(given)[0]} = $1 WHERE id = 'row'`, Object.values(given));
  await insert({});
  const odd = { id: ['', '.', '..', 'a\n', 'x'.repeat(129), null], username: ['', 'a b', 'x'.repeat(129), 'ü'.repeat(65), 'x'.repeat(1000), null], name: ['', 'x'.repeat(513), null],
    created_at: [null], is_admin: [null] };
  for (const [column, values] of Object.entries(odd)) for (const value of values) for (const attempt of [insert, update]) {
    await assert.rejects(attempt({ [column]: value }), (error) => {
      assert.match(error.code, /^2350[25]$|^23514$/, `${column} ${value}`);
      assert.doesNotMatch(JSON.stringify(error), /\$2a/, `${column} ${value}`);
      return true;
    });
  }
  assert.equal((await cluster.log()).includes(hash), false);
});

describe('usernames: IdentifierClass, UsernameCasePreserved as stored, UsernameCaseMapped as compared', () => {
  // What is given, and what is stored where that is something else.
  const GOOD = {
    'ASCII (RFC 8265, section 3.5, examples 1 and 2)': [['juliet@example.com'], ['fussball'], ["o'neill!#$%&*+-/=?^_`{|}~.,;:<>()[]\\\""]],
    'letters of any script (examples 3 to 5)': [['fußball'], ['π'], ['Σίγμα'], ['Zürich'], ['дмитрий'], ['林檎'], ['สมชาย'], ['ไทย'], ['한국어'], ['नमस्ते']],
    'width mapping (section 3.3.1)': [['ｆｕｌｌ', 'full'], ['ﾊﾝｶｸ', 'ハンカク'], ['ａｎｎ＠ｅｘａｍｐｌｅ', 'ann@example']],
    'NFC (section 3.3.1)': [['Zu\u0308rich2', 'Zürich2'], ['a\u030angstrom', 'ångstrom'], ['\u1112\u1161\u11ab', '한']],
    'exceptions (RFC 5892, section 2.6)': [['\u06fd\u06fe'], ['ta\u0f0b'], ['\u3007七'], ['straße']],
    'context: middle dot between l (A.3)': [['col·lecció']],
    'context: keraia before Greek (A.4)': [['͵α']],
    'context: geresh after Hebrew (A.5, A.6)': [['א׳'], ['צה״ל']],
    'context: katakana middle dot beside kana or Han (A.7)': [['カ・タ'], ['a・漢']],
    'context: one kind of Arabic digits (A.8, A.9)': [['علي٠١'], ['علي۰۱']],
    'context: joiners (A.1, A.2)': [['क्\u200dष'], ['क्\u200cष'], ['نامه\u200cای']],
    'from right to left (RFC 5893, section 2)': [['שלום'], ['محمد'], ['שלום123'], ['علي٣٤'], ['א1ב']],
    '128 bytes': [['x'.repeat(128)]],
  };
  for (const [name, samples] of Object.entries(GOOD))
    test(`taken: ${name}`, async () => {
      for (const [given, kept = given] of samples) {
        await create(given);
        await stored(kept);
        assert.equal(await login(given, 'a password'), 200, given);
        assert.equal(await login(given.toLocaleUpperCase('en').normalize('NFD').replace(/SS/, given.includes('ß') ? 'ß' : 'SS'), 'a password'), 200, `${given} in capitals`);
      }
    });

  const BAD = {
    'empty, spaces, too long (RFC 8265, section 3.5, examples 8 and 9)': ['', ' ', 'foo bar', 'foo\u00a0bar', '\u3000', 'x'.repeat(129)],
    'controls (RFC 8264, section 9.12)': ['a\u0000b', 'a\u0007', 'a\u007f', 'a\u0085', 'a\nb'],
    'compatibility characters (section 9.17; examples 10 and 11)': ['henry\u2163', 'ﬁnn', '\u2460', 'x²', '\u212b\ufb01', 'ª'],
    'symbols and punctuation beyond ASCII (sections 9.15, 9.16; example 12)': ['\u265a', '☃', '😀', '€', '…', '«a»', 'a–b', '±'],
    'other letters and digits (section 9.18)': ['\u01c5', '\u2160', '½', 'a\u20dd'],
    'what is ignored or invisible (section 9.13)': ['a\u00adb', 'a\u200b', 'a\ufe0f', 'a\u2060', 'a\u034f', '\u115f', '\ufdd0', 'a\u{e0041}'],
    'old Hangul jamo (section 9.9)': ['\u1100', '\u11ff', '\ua960'],
    'not assigned, private, surrogates (sections 9.10, 9.14)': ['\u0378', '\ue000', '\u{10ffff}', '\u{f0000}'],
    'directional marks': ['a\u200e', 'a\u202e', '\u2066a'],
    'exceptions (RFC 5892, section 2.6)': ['\u0640', '\u07fa', '〱', '〻', '\u302e'],
    'context: not where it belongs': ['a·b', 'l·', '·l', '͵a', 'a׳', '״א', 'a・b', '٠۰', 'a\u200db', 'a\u200cb', '\u200c'],
    'mixed directions (RFC 5893, section 2)': ['aא', 'אa', '1א', 'א٣3', 'א-', '-א', 'abcمحمد'],
  };
  for (const [name, samples] of Object.entries(BAD))
    test(`refused: ${name}`, async () => {
      for (const given of samples) {
        const refusal = await create(given).then(() => 'taken', (error) => error.code);
        assert.ok(['RT400', '23514', '22021', '22P05'].includes(refusal), `${JSON.stringify(given)}: ${refusal}`);
      }
    });

  test('a name that differs by case, width or composition is the same name', async () => {
    await create('Jürgen');
    for (const same of ['jürgen', 'JÜRGEN', 'Ju\u0308rgen', 'Ｊürgen']) await assert.rejects(create(same), { code: '23505' }, same);
    await create('jurgen');
  });

  test('what is wrong is said; an old name stays as long as it is not changed', async () => {
    await assert.rejects(create('snow☃man'), { code: '23514', message: 'invalid username "snow☃man"', detail: 'Character 5, U+2603, may not be in it.' });
    await assert.rejects(create('aא'), { detail: 'It mixes scripts that run from right to left with others.' });
    await cluster.sql('ALTER TABLE rt.users DISABLE TRIGGER user_names');
    await cluster.sql("INSERT INTO rt.users (id, username, name) VALUES ('old', '☃', 'Old')");
    await cluster.sql('ALTER TABLE rt.users ENABLE TRIGGER user_names');
    await cluster.sql("UPDATE rt.users SET username = username, name = 'Older' WHERE id = 'old'");
    assert.deepEqual(await cluster.sql('SELECT u.id FROM rt.users AS u WHERE rt_private.username_fault(u.username) IS NOT NULL'), [{ id: 'old' }]);
  });
});

describe('passwords: FreeformClass, OpaqueString', () => {
  // RFC 8265, section 4.3, and more: set as the first, good as each.
  const SAME = [
    ['correct horse battery staple'], ['Correct Horse Battery Staple'], ['πß\u00e5', 'πßa\u030a'], ['Jack of \u2666s'],
    ['foo\u1680bar', 'foo bar', 'foo\u00a0bar', 'foo\u3000bar'], ['\u2163\ufb01\u265a ½'], ['pass😀word'], ['a·b'.replace('·', 'l·l')], ['aא mixed'], ['x'.repeat(1024)],
  ];
  test('taken, and the same in each form; case and width count', async () => {
    for (const [given, ...others] of SAME) {
      await create(`user${last + 1}`, given);
      const name = `user${last}`;
      for (const form of [given, ...others]) assert.equal(await login(name, form), 200, form);
      const changed = given.toUpperCase() === given ? given.toLowerCase() : given.toUpperCase();
      if (changed !== given) assert.equal(await login(name, changed), 401, changed);
    }
    await create(`user${last + 1}`, 'ｆ');
    assert.equal(await login(`user${last}`, 'f'), 401);
  });

  test('refused: empty, controls, what cannot be seen, what is not assigned, context', async () => {
    for (const given of ['', 'my cat is a \u0009by', 'a\u0000', 'a\u007f', 'a\u200bb', 'a\u00adb', '\ufeffa', 'a\u0378', '\ue000', '\u1100', 'a\u200db', '٠۰', 'x'.repeat(1025)]) {
      const refusal = await create(`user${last + 1}`, given).then(() => 'taken', (error) => error.code);
      assert.ok(['RT400', '22021', '22P05'].includes(refusal), `${JSON.stringify(given)}: ${refusal}`);
    }
  });
});
