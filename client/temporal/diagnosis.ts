import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, type PeerCertificate, type TLSSocket } from 'node:tls';
import { isGrpcServiceError } from '@temporalio/client';
import { HoldpointError } from '../../domain/errors.ts';
import { validityProblem, type Problem } from './certificates.ts';
import type { TemporalAccess, TemporalSettings } from './settings.ts';

const probeTimeoutMs = 3_000;
const portDefault = 7233;
/** How far down the causes of an error its gRPC code may be. */
const causesMax = 5;
/** `PERMISSION_DENIED` and `UNAUTHENTICATED` of gRPC. */
const deniedCodes = [7, 16];

/**
 * Why a connection has failed, in words that say which setting is wrong. The errors of gRPC mostly say only that time has run out, so
 * the address is called once more, for a handshake and no further.
 */
export async function connectionError(settings: TemporalSettings, error: unknown): Promise<HoldpointError> {
  const { address, namespace, access } = settings;
  // A server, or a proxy before it, may send back what it was shown.
  const refusal = refusalIn(error)?.replaceAll(access?.options.apiKey || '\0', '(left out)');
  if (refusal !== undefined) {
    const { who, remedy } = presentedBy(access);
    return new HoldpointError('temporal-denied', { address, namespace, who, cause: refusal }, { cause: error, remedy });
  }
  const { problem, cause } = await probe(settings);
  if (problem)
    return new HoldpointError('temporal-tls-failed', { address, cause: problem.cause }, { cause: error, remedy: problem.remedy });
  return new HoldpointError('temporal-unreachable', { address, cause: cause ?? messageOf(error) }, { cause: error });
}

/**
 * Finds out at once whether anybody can be reached at all: gRPC goes on trying until its time has run out. Behind a proxy the network of
 * this machine says nothing. Throws `temporal-unreachable`.
 */
export async function requireNetwork({ address }: Pick<TemporalSettings, 'address'>, env = process.env): Promise<void> {
  const isBehindProxy = proxyVariables.some((name) => env[name] || env[name.toUpperCase()]);
  const cause = isBehindProxy ? undefined : await tcpProblem(address);
  if (cause !== undefined) throw new HoldpointError('temporal-unreachable', { address, cause });
}

/** Those that gRPC heeds. */
const proxyVariables = ['grpc_proxy', 'https_proxy', 'http_proxy'];
const tcpTimeoutMs = 2_000;

async function tcpProblem(address: string): Promise<string | undefined> {
  const { host, port } = endpointOf(address);
  const socket = connectTcp({ host, port });
  try {
    return await new Promise((resolve) => {
      socket.setTimeout(tcpTimeoutMs, () => resolve(`no answer within ${tcpTimeoutMs / 1_000} s`));
      socket.once('connect', () => resolve(undefined));
      // What else goes wrong is for gRPC to say.
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(networkCodes.has(error.code ?? '') ? messageOf(error) : undefined));
    });
  } finally {
    socket.destroy();
  }
}

/** What the server says where it does not let us in. */
function refusalIn(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < causesMax && current instanceof Error; depth += 1, current = current.cause) {
    if (isGrpcServiceError(current) && deniedCodes.includes(Number(current.code))) {
      return current.details.replace(/\.$/, '') || 'it gives no reason';
    }
  }
  return undefined;
}

function presentedBy(access: TemporalAccess | undefined): { who: string; remedy: string } {
  const keyPlace = access?.placeOf('TEMPORAL_API_KEY') ?? '';
  if (access?.options.apiKey !== undefined) {
    return {
      who: `the API key (${keyPlace})`,
      remedy: 'Check that the key has not expired, that its owner may use the namespace, and the names of address and namespace.',
    };
  }
  const { client } = access?.certificates ?? {};
  if (client) return { who: client.name, remedy: 'Check which authority and which names the namespace admits, and its name.' };
  return { who: 'a connection without API key and client certificate', remedy: 'Set TEMPORAL_API_KEY, or a client certificate.' };
}

/** What is wrong with TLS, or else what the network says. */
async function probe({ address, access }: TemporalSettings): Promise<{ problem?: Problem; cause?: string }> {
  const { host, port } = endpointOf(address);
  const tls = access?.options.tls;
  const hello = await greet(() => connectTcp({ host, port }));
  if (networkCodes.has(hello.code ?? '')) return { cause: hello.message };
  if (!tls) {
    const secure = hello.ok ? undefined : await greetSecurely({ host, port });
    return secure?.isTls ? { problem: plainToTls } : {};
  }
  if (hello.ok) return { problem: tlsToPlain };
  const { serverNameOverride: servername, serverRootCACertificate: ca, clientCertPair: pair } = tls === true ? {} : tls;
  const bytes = (data: Uint8Array | undefined): Buffer | undefined => data && Buffer.from(data);
  const secure = await greetSecurely({ host, port, servername, ca: bytes(ca), cert: bytes(pair?.crt), key: bytes(pair?.key) });
  const name = servername ?? host;
  if (secure.verification) return { problem: serverProblem(secure.verification, name, access) };
  return secure.ok ? {} : { problem: clientProblem(secure, name, access) };
}

function endpointOf(address: string): { host: string; port: number } {
  const [, host = '', port = portDefault] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(address) ?? [];
  return { host, port: Number(port) };
}

/** Nobody is there at all, so that nothing can be said about TLS. */
const networkCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

interface Hello {
  /** An HTTP/2 server, as Temporal is one, has said hello. */
  ok: boolean;
  code?: string;
  message?: string;
}

/** Listens for the hello of an HTTP/2 server. */
async function greet(open: () => Duplex): Promise<Hello> {
  return new Promise((resolve) => {
    const socket = open();
    const session = connectHttp2('http://temporal', { createConnection: () => socket });
    const end = (hello: Hello): void => {
      clearTimeout(timer);
      session.destroy();
      socket.destroy();
      resolve(hello);
    };
    const fail = (error: NodeJS.ErrnoException): void => end({ ok: false, code: error.code, message: messageOf(error) });
    const timer = setTimeout(() => end({ ok: false, message: `no answer within ${probeTimeoutMs} ms` }), probeTimeoutMs);
    session.once('remoteSettings', () => end({ ok: true }));
    // Both stay: whichever of the two fails next must find somebody who listens.
    socket.on('error', fail);
    session.on('error', fail);
    session.on('close', () => end({ ok: false, message: 'the connection was closed' }));
  });
}

interface SecureHello extends Hello {
  /** A handshake of TLS took place, or was refused as TLS refuses it. */
  isTls: boolean;
  handshaken: boolean;
  /** What the certificate of the server does not pass. */
  verification?: { code: string; certificate: PeerCertificate };
}

/** As `greet`, through TLS. The certificate is looked at and not insisted on: nothing is said that is not for everybody. */
async function greetSecurely(options: ConnectionOptions): Promise<SecureHello> {
  let socket: TLSSocket | undefined;
  let handshaken = false;
  let verification: SecureHello['verification'];
  const hello = await greet(() => {
    socket = connectTls({ ...options, ALPNProtocols: ['h2'], rejectUnauthorized: false });
    socket.once('secureConnect', () => {
      handshaken = true;
      const code = socket?.authorizationError;
      if (code) verification = { code: String(code), certificate: socket!.getPeerCertificate(true) };
    });
    return socket;
  });
  return { ...hello, handshaken, isTls: handshaken || alertIn(hello.code) !== undefined, verification };
}

/** TLS says by alerts why it refuses, which OpenSSL puts into its codes. */
function alertIn(code: string | undefined): string | undefined {
  return /^ERR_SSL_.*ALERT_(\w+)$/.exec(code ?? '')?.[1];
}

const plainToTls: Problem = {
  cause: 'the server speaks TLS, and TLS is not switched on',
  remedy: 'Set TEMPORAL_TLS=true, or what switches it on as well: an API key, certificates.',
};
const tlsToPlain: Problem = {
  cause: 'the server does not speak TLS',
  remedy: 'Correct the address; or, if what is sent there may be read on the way, set TEMPORAL_TLS=false.',
};

function serverProblem({ code, certificate }: NonNullable<SecureHello['verification']>, name: string, access: TemporalAccess): Problem {
  const { subject, issuer, subjectaltname = 'none' } = certificate;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const place = access.placeOf('TEMPORAL_TLS_SERVER_NAME');
    return {
      cause: `the certificate of the server is not for ${name}; the names in it are: ${subjectaltname}`,
      remedy: `Correct the address, or set ${place} to the name that the server goes by.`,
    };
  }
  const described = `the certificate of the server (${nameOf(subject)})`;
  const dates = { validFrom: certificate.valid_from, validTo: certificate.valid_to };
  const untimely = validityProblem(dates, described, new Date());
  if (untimely) return untimely;
  const { authority } = access.certificates;
  const trusted = authority ? `in ${authority.name}` : 'one of the public authorities';
  return {
    cause: `${described} is signed by ${nameOf(issuer)}, and that is not ${trusted}`,
    remedy: authority
      ? 'Give the certificate of the authority that signed it; several may stand in one file.'
      : 'Set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the certificate of that authority.',
  };
}

/** The server does not go on with us, although we would go on with it. */
function clientProblem({ code = '', message = '', handshaken }: SecureHello, name: string, access: TemporalAccess): Problem {
  const alert = alertIn(code);
  if (alert === 'UNRECOGNIZED_NAME') {
    const place = access.placeOf('TEMPORAL_TLS_SERVER_NAME');
    return { cause: `the server does not go by the name ${name}`, remedy: `Correct the address, or set ${place}.` };
  }
  if (alert !== undefined && !certificateAlert.test(alert))
    return { cause: `the server breaks off the handshake (${alert})`, remedy: lookAtLog };
  // Some servers say nothing and hang up.
  if (alert === undefined && !handshaken)
    return { cause: code === '' ? message : `the handshake failed with ${code}`, remedy: lookAtServer };
  const { client } = access.certificates;
  if (!client) {
    return {
      cause: 'the server wants a client certificate, and none is given',
      remedy: 'Set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH.',
    };
  }
  const reason =
    alert === undefined ? 'it hangs up after it has seen it' : (alertReasons[alert] ?? alert.toLowerCase().replaceAll('_', ' '));
  return {
    cause: `the server does not accept ${client.name}: ${reason}`,
    remedy: 'Give one that is signed by an authority that the server admits, or have the authority of this one admitted.',
  };
}

const lookAtServer = 'Check that Temporal is what answers there, and look into the log of the server.';
const lookAtLog =
  'It may want a client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH and …_KEY_PATH), or another version of TLS; its log says what.';
const certificateAlert = /CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED/;
const alertReasons: Readonly<Record<string, string>> = {
  UNKNOWN_CA: 'it does not know the authority that signed it',
  CERTIFICATE_EXPIRED: 'it has expired',
  CERTIFICATE_REVOKED: 'it has been revoked',
};

function nameOf({ CN, O }: PeerCertificate['subject'] = {}): string {
  return String(CN ?? O ?? 'somebody without a name');
}

/** An address of several, none of which answers, has an error with nothing but a code. */
function messageOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return message || code || String(error);
}
