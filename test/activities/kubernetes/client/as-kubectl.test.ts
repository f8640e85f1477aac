import { ApiException } from '@kubernetes/client-node';
import { describe, expect, jest, test } from '@jest/globals';
import { asTold } from '../../../../activities/kubernetes/client/patience.ts';
import { proxyOfEnvironment } from '../../../../activities/kubernetes/client/proxy-of-environment.ts';

describe('the proxy of the environment (field case more/22)', () => {
  const proxy = 'http://proxy:3128';
  const server = 'https://abc.gr7.eu-central-1.eks.amazonaws.com';
  test.each<[string, Record<string, string>, string | undefined]>([
    [server, {}, undefined],
    [server, { HTTPS_PROXY: proxy }, proxy],
    [server, { https_proxy: 'proxy:3128' }, proxy],
    [server, { HTTP_PROXY: proxy }, undefined],
    ['http://10.0.0.1', { HTTP_PROXY: proxy }, proxy],
    [server, { HTTPS_PROXY: proxy, NO_PROXY: '*' }, undefined],
    [server, { HTTPS_PROXY: proxy, NO_PROXY: 'example.com, .eks.amazonaws.com' }, undefined],
    [server, { HTTPS_PROXY: proxy, no_proxy: 'amazonaws.com:443' }, undefined],
    [server, { HTTPS_PROXY: proxy, NO_PROXY: 'amazonaws.com:6443' }, proxy],
    [server, { HTTPS_PROXY: proxy, NO_PROXY: 'ks.amazonaws.com' }, proxy],
    ['https://10.1.2.3:6443', { HTTPS_PROXY: proxy, NO_PROXY: '10.1.0.0/16' }, undefined],
    ['https://10.2.2.3:6443', { HTTPS_PROXY: proxy, NO_PROXY: '10.1.0.0/16,10.2.2.4' }, proxy],
    ['https://[fd00::1]:6443', { HTTPS_PROXY: proxy, NO_PROXY: 'fd00::/8' }, undefined],
    ['https://127.0.0.1:6443', { HTTPS_PROXY: proxy }, undefined],
    ['https://localhost:6443', { HTTPS_PROXY: proxy }, undefined],
    [server, { HTTPS_PROXY: 'socks5://proxy:1080' }, 'socks5://proxy:1080'],
  ])('To %s with %j: %s.', (to, env, expected) => expect(proxyOfEnvironment(to, env)).toBe(expected));
});

describe('a server that is busy (field case more/26)', () => {
  const busy = (code = 429, headers: Record<string, string> = { 'retry-after': '0' }): ApiException<unknown> =>
    new ApiException<unknown>(code, 'refused', '', headers);

  test.each([
    ['429 with Retry-After', busy(), 4],
    ['503 with Retry-After', busy(503), 4],
    ['429 without Retry-After', busy(429, {}), 1],
    ['404', busy(404), 1],
    ['no answer', new Error('reset'), 1],
  ])('%s: it is asked as often as it takes, or not again.', async (_title, error, times) => {
    const send = jest.fn<() => Promise<string>>();
    for (let attempt = 1; attempt < 4; attempt += 1) send.mockRejectedValueOnce(error);
    send.mockResolvedValue('list');
    const asked = asTold(send);
    await (times === 1 ? expect(asked).rejects.toBe(error) : expect(asked).resolves.toBe('list'));
    expect(send).toHaveBeenCalledTimes(times);
  });

  test('It is not asked without end.', async () => {
    const send = jest.fn<() => Promise<string>>().mockRejectedValue(busy());
    await expect(asTold(send)).rejects.toMatchObject({ code: 429 });
    expect(send).toHaveBeenCalledTimes(10);
  });
});
