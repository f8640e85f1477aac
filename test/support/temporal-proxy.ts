import {
  connect,
  constants,
  createSecureServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { Identity } from './certificates.ts';

/** A Temporal server behind TLS, as people run it. */
export interface TemporalProxy {
  /** `host:port`. */
  address: string;
  port: number;
  /** The calls that were passed on, as `/service/Method`, each with the name in the certificate of the client. */
  calls: { path: string; client: string | undefined }[];
  stop(): Promise<void>;
}

/** A refusal: a status of gRPC and what is said with it. */
export interface Refusal {
  status: number;
  message: string;
}

/**
 * Starts a proxy before a server that speaks plain gRPC. With `clientAuthority` only clients get in whose certificate it has signed;
 * `admit` looks at the headers of each call.
 */
export async function startTemporalProxy(
  upstream: string,
  identity: Identity,
  options: { clientAuthority?: string; admit?: (headers: IncomingHttpHeaders) => Refusal | undefined } = {},
): Promise<TemporalProxy> {
  const { clientAuthority, admit = () => undefined } = options;
  const server = createSecureServer({
    ...identity,
    ...(clientAuthority === undefined ? {} : { ca: clientAuthority, requestCert: true, rejectUnauthorized: true }),
  });
  const session = connect(`http://${upstream}`);
  session.on('error', () => undefined);
  const calls: TemporalProxy['calls'] = [];
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket: TLSSocket) => sockets.add(socket));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    const refusal = admit(headers);
    if (refusal) {
      const { status, message } = refusal;
      const trailers = { 'grpc-status': String(status), 'grpc-message': message };
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
      return;
    }
    const { subject } = (stream.session?.socket as TLSSocket).getPeerCertificate();
    // What is not there has no subject.
    calls.push({ path: String(headers[':path']), client: (subject as PeerCertificate['subject'] | undefined)?.CN?.toString() });
    passOn(session, stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    session.destroy();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { address: `127.0.0.1:${port}`, port, calls, stop };
}

function passOn(session: ClientHttp2Session, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const request = session.request({ ...headers, ':scheme': 'http' });
  request.on('error', () => stream.close(constants.NGHTTP2_CANCEL));
  stream.on('close', () => request.close(constants.NGHTTP2_CANCEL));
  stream.pipe(request);
  let trailers: IncomingHttpHeaders = {};
  request.on('trailers', (received: IncomingHttpHeaders) => (trailers = received));
  request.on('response', (response, flags) => {
    // An error comes in the headers alone.
    if (flags & constants.NGHTTP2_FLAG_END_STREAM) return stream.respond(response, { endStream: true });
    stream.respond(response, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    request.pipe(stream);
  });
}
