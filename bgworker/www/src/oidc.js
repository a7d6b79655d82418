// Signing in at an identity provider: OpenID Connect's authorization code flow for a public client, with PKCE (RFC 7636).
// Loaded by whoever uses it.
//
import { BASE, failure, keepProvided, providedSession, session as own, tokenOf } from './api.js';
import { kept, keepTokens } from './tokens.js';
import { t } from './i18n.js';
import { PROFILE } from './profile.js';
import { flowKey } from './returned.js';

const SCOPE = 'openid profile email';
const ANSWER_MS = 15_000;
const LEEWAY_S = 30;
const REDIRECT = BASE.href;

export const hostOf = (issuer) => new URL(issuer).host;

const refused = (words) => failure({ code: 'provider', message: words });
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (c) => ({ '+': '-', '/': '_', '=': '' })[c]);
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function ask(issuer, url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(ANSWER_MS), credentials: 'omit' });
  } catch {
    throw failure({ code: 'unavailable', message: t("Can't reach {host}.", { host: hostOf(issuer) }) });
  }
  const answer = await response.json().catch(() => ({}));
  if (response.status >= 500)
    throw failure({ code: 'unavailable', message: t("Can't reach {host}.", { host: hostOf(issuer) }) });
  if (!response.ok)
    throw refused(
      t('{host} refused: {words}', {
        host: hostOf(issuer),
        words: answer.error_description ?? answer.error ?? response.status,
      }),
    );
  return answer;
}

// OpenID Connect Discovery 1.0, section 4.3: what it says of itself must be what we asked.
async function discover(issuer) {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const metadata = await ask(issuer, url);
  if (metadata.issuer !== issuer)
    throw refused(
      t('{host} says that its name is {issuer}.', { host: hostOf(issuer), issuer: metadata.issuer }),
    );
  return metadata;
}

const form = (values) => ({ method: 'POST', body: new URLSearchParams(values) });

// ---- there and back ----------------------------------------------------------------

// Leaves the page.
export async function begin({ issuer, clientId }) {
  if (!crypto.subtle) throw refused(t('Browsers allow this only on pages served over HTTPS.'));
  const metadata = await discover(issuer);
  const [state, nonce, verifier] = [random(), random(), random()];
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const flow = { issuer, clientId, nonce, verifier, from: location.href };
  sessionStorage.setItem(flowKey(state), JSON.stringify(flow));
  const url = new URL(metadata.authorization_endpoint);
  const query = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: REDIRECT,
    scope: SCOPE,
    state,
    nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

// `returned` is what the provider sent somebody back with.  Result: who is signed in.
export async function finish({ flow, code, error, words, iss }) {
  if (!flow) throw refused(t('This sign-in was not started in this tab. Try again.'));
  const { issuer, clientId, nonce, verifier } = flow;
  const host = hostOf(issuer);
  if (iss && iss !== issuer) throw refused(t('The answer is not from {host}.', { host })); // RFC 9207
  if (error === 'access_denied') throw refused(t('The sign-in at {host} was cancelled.', { host }));
  if (error) throw refused(t('{host} refused: {words}', { host, words: words ?? error }));
  const metadata = await discover(issuer);
  if (metadata.authorization_response_iss_parameter_supported && !iss)
    throw refused(t('The answer is not from {host}.', { host }));
  const tokens = await ask(
    issuer,
    metadata.token_endpoint,
    form({
      grant_type: 'authorization_code',
      client_id: clientId,
      code,
      redirect_uri: REDIRECT,
      code_verifier: verifier,
    }),
  );
  checkIdToken(tokens.id_token, { issuer, clientId, nonce });
  const session = {
    issuer,
    clientId,
    tokenEndpoint: metadata.token_endpoint,
    revocationEndpoint: metadata.revocation_endpoint,
  };
  return choose(session, tokens);
}

function claimsOf(jwt) {
  try {
    const payload = jwt.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

// OpenID Connect Core 1.0, section 3.1.3.7.  The token came from the provider itself, so that its signature may go unchecked
// here (step 6); the gateway checks that of whichever token it is sent.
function checkIdToken(token, { issuer, clientId, nonce }) {
  const claims = claimsOf(token ?? '');
  const isGood =
    claims?.iss === issuer &&
    [claims.aud].flat().includes(clientId) &&
    (claims.azp ?? clientId) === clientId &&
    claims.exp > Date.now() / 1000 - LEEWAY_S &&
    claims.nonce === nonce;
  if (!isGood) throw refused(t('The answer is not from {host}.', { host: hostOf(issuer) }));
}

// The gateway takes the access token where that is a JWT that is meant for it, else the ID token.
async function choose(session, tokens) {
  let problem;
  for (const use of ['access_token', 'id_token']) {
    if (!claimsOf(tokens[use] ?? '')) continue;
    try {
      const me = await tokenOf(tokens[use]);
      own.set(await keep({ ...session, use }, tokens));
      return me;
    } catch (error) {
      if (error.code !== 'unauthorized') throw error;
      problem = /not found/i.test(problem?.message) ? problem : error;
    }
  }
  const { issuer } = session;
  throw refused(
    /not found/i.test(problem?.message)
      ? t('{host} knows you, but you have no account here. Ask an administrator.', { host: hostOf(issuer) })
      : t("This server doesn't accept the sign-in at {host}. Ask an administrator.", {
          host: hostOf(issuer),
        }),
  );
}

async function keep(session, tokens, former) {
  const token = tokens[session.use];
  await keepTokens({ token, refreshToken: tokens.refresh_token ?? former });
  keepProvided(session);
  return token;
}

// ---- going on, and the end -----------------------------------------------------------

// Of several tabs one renews, and the others take what it got, since a provider may take a refresh token once, and end it all
// when it comes twice (RFC 9700, section 4.14.2).
// Result: the token that takes the place of the given one.
export function renew(token) {
  return navigator.locks
    ? navigator.locks.request(`rt-oidc-renew${PROFILE}`, () => renewNow(token))
    : renewNow(token);
}

const ended = (words) => failure({ code: 'unauthorized', message: words });

async function renewNow(former) {
  const session = providedSession();
  const { token, refreshToken } = (await kept()) ?? {};
  if (!session || !token) throw ended('signed out');
  if (token !== former) return token;
  if (!refreshToken) throw ended('no refresh token');
  const { issuer, clientId, tokenEndpoint, use } = session;
  const values = { grant_type: 'refresh_token', client_id: clientId, refresh_token: refreshToken };
  const tokens = await ask(issuer, tokenEndpoint, form(values)).catch((error) => {
    throw error.code === 'provider' ? ended(error.message) : error;
  });
  if (!claimsOf(tokens[use] ?? '')) throw ended('no token');
  return keep(session, tokens, refreshToken);
}

// RFC 7009: nobody goes on with what we leave behind.
export async function revoke() {
  const { issuer, clientId, revocationEndpoint } = providedSession();
  const { refreshToken } = (await kept()) ?? {};
  await keepTokens(undefined);
  if (!revocationEndpoint || !refreshToken) return;
  const values = { client_id: clientId, token: refreshToken, token_type_hint: 'refresh_token' };
  await ask(issuer, revocationEndpoint, form(values)).catch(() => {});
}
