import { contextOfLook } from '../../activities/action.ts';
import { perform } from '../../activities/perform.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { actionsFor, target } from './etcd-world.ts';

// A worker that carries out one action and says how far it is, so that a test can kill it there: `action-main.ts ACTION ACCESS RUN`.
const [name = '', access = '', run = ''] = process.argv.slice(2);
const action = actionsFor(JSON.parse(access) as EtcdAccess).get(name);
if (!action) throw new Error(`there is no action ${name}`);
const context = contextOfLook({ run, step: 's', target, retry: 0 });
await perform(action, await action.plan({}, context), context, {
  onProgress: (progress) => void process.stdout.write(`${progress?.summary}\n`),
  signal: context.signal,
  wait: context.wait,
});
