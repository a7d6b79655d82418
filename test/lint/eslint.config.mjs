// eslint's recommended rules over all JavaScript.
import js from '@eslint/js';
import globals from 'globals';

const uses = (...names) => ({ globals: Object.assign({}, ...names.map((name) => globals[name])) });

export default [
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' }, languageOptions: { ecmaVersion: 2025 },
    // { one, ...others }: one is named to be left out.
    rules: { 'no-unused-vars': ['error', { ignoreRestSiblings: true }] } },
  { files: ['bgworker/www/src/**/*.js'], languageOptions: uses('browser') },
  // Of both: it runs in Node.js, too.
  { files: ['clients/js/src/**/*.js'], languageOptions: uses('shared-node-browser', 'browser') },
  { files: ['test/**/*.mjs', 'clients/js/tools/*.mjs', 'bgworker/www/reference/*.mjs', 'examples/**/*.mjs'], languageOptions: uses('node') },
  // Tests of the application hand functions to a page: those see what a browser has.
  { files: ['test/browser/**/*.mjs'], languageOptions: uses('node', 'browser') },
];
