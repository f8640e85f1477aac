import type { IncomingMessage } from 'node:http';

/** The body of a request; throws what `tooLarge` makes where it has more bytes than that. */
export async function readBody(request: IncomingMessage, bytesMax: number, tooLarge: () => Error): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
