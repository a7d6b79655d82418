// A second user in the same browser: /?profile=2 keeps its own session, outbox and drafts.
import './returned.js'; // puts the address right

const wanted = new URLSearchParams(location.search).get('profile');

export const PROFILE = wanted ? `:${wanted}` : '';
