// The page's language follows the browser.  What stands in the source is English, and is the key of its translation in
// ../lang/<language>.json.  What has no translation stays English.
//
// Functions that need words call t() when they run, never while their module is loaded by app.js, before load() is done.
const LANGUAGES = new Set(['de']); // beside English; each has a file
const RIGHT_TO_LEFT = new Set(['ar', 'dv', 'fa', 'he', 'ku', 'ps', 'sd', 'ug', 'ur', 'yi']);

let table = {};
let plurals = new Intl.PluralRules('en');
export let language = 'en';

// The first of the browser's languages that we have.
function wanted() {
  for (const one of navigator.languages ?? []) {
    const primary = one.toLowerCase().split('-')[0];
    if (primary === 'en' || LANGUAGES.has(primary)) return primary;
  }
  return 'en';
}

export async function load() {
  language = wanted();
  if (language !== 'en') {
    try {
      const response = await fetch(new URL(`assets/lang-${language}.json`, document.baseURI));
      table = response.ok ? await response.json() : {};
    } catch {
      table = {}; // the page is usable without it
    }
  }
  plurals = new Intl.PluralRules(language);
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.has(language) ? 'rtl' : 'ltr';
}

// With the region of the browser, where it has one for the page's language.
export function locale() {
  return navigator.languages?.find((one) => one.toLowerCase().split('-')[0] === language) ?? language;
}

// Words that are computed: t('online'), t('away'), t('busy'), t('offline'); t('host'), t('co-host'), t('participant'),
// t('viewer'); t('member'), t('admin'); t('camera'), t('microphone'), t('screen'); t('good connection'), t('fair connection'), t('poor connection').

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// t('Leave “{title}”?', { title })
export function t(text, values) {
  const found = table[text] ?? text;
  return values ? fill(found, values) : found;
}

// tn(3, '{n} file', '{n} files'): the key is the last one.  A translation is an object with the forms that its language has,
// by the categories of CLDR: { "one": …, "few": …, "other": … }.
export function tn(n, one, other, values = {}) {
  const category = plurals.select(n);
  const forms = table[other] ?? { one, other };
  return fill(forms[category] ?? forms.other, { n, ...values });
}
