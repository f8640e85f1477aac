/** Base64 (RFC 4648) by hand, as workflow code has neither Buffer nor btoa. What is read must be the one spelling of its bytes. */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Bytes in base64url, without padding. */
export function base64urlOf(bytes: Uint8Array): string {
  let text = '';
  for (let place = 0; place < bytes.length; place += 3) {
    const [one = 0, two = 0, three = 0] = bytes.subarray(place, place + 3);
    const group = (one << 16) | (two << 8) | three;
    for (const shift of [18, 12, 6, 0]) text += alphabet.charAt((group >> shift) & 63);
  }
  return text.slice(0, Math.ceil((bytes.length * 4) / 3));
}

/** The bytes of a text in base64url; undefined where it is not the one way to write them, so that equal bytes are equal texts. */
export function bytesOfBase64url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (const character of text) {
    bits = (bits << 6) | alphabet.indexOf(character);
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length++] = (bits >> bitCount) & 255;
    bits &= (1 << bitCount) - 1;
  }
  return base64urlOf(bytes) === text ? bytes : undefined;
}

/** Bytes in base64 with padding, as OpenSSH writes them. */
export function base64Of(bytes: Uint8Array): string {
  const text = base64urlOf(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** The bytes of a text in base64 with padding; undefined where it is not the one way to write them. */
export function bytesOfBase64(text: string): Uint8Array | undefined {
  if (/[-_]/.test(text)) return undefined;
  const bytes = bytesOfBase64url(text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'));
  return bytes && base64Of(bytes) === text ? bytes : undefined;
}
