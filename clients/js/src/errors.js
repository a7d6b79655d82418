// errors.js: what the server refuses, by REST or event.

export class RtError extends Error {
  /** @param {{ code: string, message: string, retryAfter?: number, twoFactor?: string }} error */
  constructor({ code, message, retryAfter, twoFactor }, status) {
    super(message);
    this.name = 'RtError';
    this.code = code;
    this.status = status; // of HTTP; undefined for an event
    this.retryAfter = retryAfter; // seconds
    if (twoFactor) this.twoFactor = twoFactor; // of a login: "required"
  }
}

// The server could not be asked, or asks to be asked again: trying later may help.
export function isTransient(error) {
  return !(error instanceof RtError) || ['unavailable', 'rate_limited', 'internal'].includes(error.code);
}
