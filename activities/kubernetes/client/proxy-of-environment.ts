import { BlockList, isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy through which `kubectl` reaches a server by its environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, each in small letters,
 * too); undefined where there is none. The rules are those of Go's golang.org/x/net/http/httpproxy: this machine is never asked through a
 * proxy; NO_PROXY lists hosts (with those below them), addresses, networks, each with a port or without, or `*`.
 */
export function proxyOfEnvironment(server: string, env: Environment): string | undefined {
  if (!URL.canParse(server)) return undefined;
  const { protocol, hostname, port } = new URL(server);
  const isSecure = protocol === 'https:';
  const proxy = isSecure ? env.HTTPS_PROXY || env.https_proxy : env.HTTP_PROXY || env.http_proxy;
  if (!proxy) return undefined;
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isThisMachine(host)) return undefined;
  const at = { host, port: port || (isSecure ? '443' : '80') };
  const excepted = (env.NO_PROXY || env.no_proxy || '').split(',').some((entry) => isExcepted(entry.trim().toLowerCase(), at));
  if (excepted) return undefined;
  return /^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

function isThisMachine(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isExcepted(entry: string, { host, port }: { host: string; port: string }): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const [, address = '', bits] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? [];
  if (bits !== undefined) return isInNetwork(host, address, Number(bits));
  const [, name = entry, ofPort] = isIP(entry) === 6 ? [] : (/^(.*):(\d+)$/.exec(entry) ?? []);
  if (ofPort !== undefined && ofPort !== port) return false;
  const bare = name.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return bare === host;
  const below = bare.replace(/^\*/, '');
  return below.startsWith('.') ? host.endsWith(below) : host === below || host.endsWith(`.${below}`);
}

function isInNetwork(host: string, address: string, bits: number): boolean {
  const kind = isIP(address);
  if (kind === 0 || isIP(host) !== kind || bits > (kind === 4 ? 32 : 128)) return false;
  const network = new BlockList();
  const family = kind === 4 ? 'ipv4' : 'ipv6';
  network.addSubnet(address, bits, family);
  return network.check(host, family);
}
