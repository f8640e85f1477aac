import { didYouMean } from '../domain/suggestion.ts';
import { formatTarget, readTarget, type Target, type TargetKind } from '../domain/target.ts';
import type { SystemDeclaration } from './actions/declaration.ts';
import { systemOf, systems } from './actions/index.ts';
import type { Configuration } from './configuration/configuration.ts';

/** Every kind of target that a run can work on. */
export const targetKinds: readonly TargetKind[] = Object.values(systems).flatMap(({ targets }: SystemDeclaration) => targets);

/** Reads a target such as `eks/<region>/<cluster>` or `kubernetes/<name>`. Throws a TargetError that says which part is wrong. */
export function parseTarget(text: string): Target {
  return readTarget(text, targetKinds);
}

/** Finds a kind of target by its name. */
export function findTargetKind(kind: string): TargetKind | undefined {
  return targetKinds.find((candidate) => candidate.kind === kind);
}

/** Why a worker with this configuration cannot reach a target; undefined where it can. A sentence, and one on what to do. */
export function unreachableTarget(target: Target, configuration: Configuration): { cause: string; remedy: string } | undefined {
  const section = findTargetKind(target.kind)?.configuredIn;
  const system = systemOf({ targetKind: target.kind });
  const { systems: loaded } = configuration;
  if (system !== undefined && loaded !== undefined && !loaded.includes(system)) {
    const belongs = `${formatTarget(target)} belongs to the system ${system}`;
    const cause = `${belongs}, but the configuration names the systems ${loaded.join(', ')} only.`;
    return { cause, remedy: `Add ${system} to \`systems\` in holdpoint.yaml and start the worker again.` };
  }
  if (section === undefined) return undefined;
  const names = Object.keys(configuration[section] ?? {});
  if (names.includes(target.name)) return undefined;
  const known = names.length === 0 ? 'It has none.' : `There are: ${names.join(', ')}.`;
  const cause = `There is no "${target.name}" in \`${section}\` of the configuration.${didYouMean(target.name, names)} ${known}`;
  return { cause, remedy: `Add it to \`${section}\` in holdpoint.yaml, or name another target.` };
}
