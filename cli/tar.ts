const blockBytes = 512;
const nameBytesMax = 100;

/** A file of an archive. */
export interface ArchivedFile {
  name: string;
  text: string;
}

/** An archive of files in the form ustar (POSIX.1-1988), which every `tar` reads. Throws RangeError for a name that is too long. */
export function tarOf(files: readonly ArchivedFile[], modified: Date): Uint8Array {
  const parts = files.flatMap(({ name, text }) => {
    const bytes = Buffer.from(text, 'utf8');
    const padding = Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes);
    return [headerOf(name, bytes.length, modified), bytes, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

function headerOf(name: string, size: number, modified: Date): Buffer {
  if (Buffer.byteLength(name) > nameBytesMax) throw new RangeError(`the name ${name} is too long for an archive`);
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
  const fields: [number, string][] = [
    [0, name],
    [100, octal(0o644, 7)],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(size, 11)],
    [136, octal(Math.floor(modified.getTime() / 1_000), 11)],
    [148, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\0'],
    [263, '00'],
  ];
  for (const [offset, text] of fields) header.write(text, offset, 'latin1');
  // The sum is made over the header with spaces in its own place.
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
