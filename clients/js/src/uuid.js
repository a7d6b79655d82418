// uuid.js: ids that no other client makes; nobody needs to be unable to guess them.

// crypto.randomUUID() exists only on pages served over HTTPS or from localhost, and Node.js 18 has no global crypto.
function randomBytes(n) {
  const bytes = new Uint8Array(n);
  return globalThis.crypto ? crypto.getRandomValues(bytes) : bytes.map(() => Math.floor(Math.random() * 256));
}

export function uuid() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID();
  const bytes = randomBytes(16);
  // Version 4, variant 1 (RFC 9562, section 5.4).
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
