import type { DatabaseServers } from './model.ts';

const timeoutMs = 60_000;

/** Real servers behind the instances that another process has: it is asked by `POST <url>/<verb>/<instance>`. */
export function remoteServers(url: string): DatabaseServers {
  const ask = async (verb: string, instance: string): Promise<void> => {
    const address = `${url}/${verb}/${encodeURIComponent(instance)}`;
    const response = await fetch(address, { method: 'POST', signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`${verb} of ${instance} was refused: ${await response.text()}`);
  };
  return {
    stop: (instance) => ask('stop', instance),
    promote: (instance) => ask('promote', instance),
    follow: (instance) => ask('follow', instance),
  };
}
