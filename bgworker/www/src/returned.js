// Whether the page was opened by an identity provider that sends somebody back (OAuth 2.0, RFC 6749, section 4.1.2).
//
// This is looked at before anything else: the address is put back to where the sign-in was begun, so that neither the code
// stays in it, nor the profile is lost.  What was begun is known to this tab alone, by its `state`; an answer to something
// else is somebody's attempt to sign us in as themselves (RFC 6819, section 4.4.1.8), and is not followed.
const query = new URLSearchParams(location.search);
const state = query.get('state');

export const flowKey = (wanted) => `rt-oidc-flow-${wanted}`;

function take() {
  if (!state || !(query.has('code') || query.has('error'))) return null;
  const known = sessionStorage.getItem(flowKey(state));
  sessionStorage.removeItem(flowKey(state));
  const flow = known && JSON.parse(known);
  history.replaceState(null, '', flow?.from ?? location.pathname);
  return {
    flow,
    code: query.get('code'),
    error: query.get('error'),
    words: query.get('error_description'),
    iss: query.get('iss'),
  };
}

export const returned = take();
