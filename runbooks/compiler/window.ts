import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import { ownValue } from '../../domain/map.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { DocumentOutline } from './outline.ts';

/**
 * Checks `window` of a document: its calendar must be there, and the runbooks that it carries out must not keep to another one. Calendars
 * and policies are checked only where the configuration that defines them is given.
 */
export function checkWindow(
  { window }: JsonObject,
  steps: readonly Json[],
  { sourceMap, steps: outlines }: DocumentOutline,
  configuration: Configuration | undefined,
): void {
  if (typeof window === 'string' && configuration) {
    const names = Object.keys(configuration.calendars ?? {});
    if (!names.includes(window)) {
      const known = names.length === 0 ? ' The configuration has none.' : ` There are: ${names.join(', ')}.`;
      sourceMap.error(['window'], `There is no calendar "${window}" in the configuration.${didYouMean(window, names)}${known}`);
    }
  }
  for (const [index, step] of steps.entries()) {
    const { nested } = outlines[index] ?? {};
    const inner = nested?.runbook?.window;
    if (inner !== undefined && inner !== window) {
      const remedy = `write \`window: ${inner}\` above the steps.`;
      sourceMap.error(['steps', index, 'runbook'], `It keeps to the window ${inner}, and a run has one for all of its steps: ${remedy}`);
    }
    if (window !== undefined || !isObject(step)) continue;
    if (step.atClose !== undefined) {
      sourceMap.warning(['steps', index, 'atClose'], 'Counts only where the runbook that is started has a `window`, as this one has not.');
    }
    const policy = typeof step.hold === 'string' ? ownValue(configuration?.policies ?? {}, step.hold) : undefined;
    if (policy?.expiresAtClose) {
      const message = `The policy ${policy.name} closes its holds with the window, and this runbook has none:`;
      sourceMap.warning(['steps', index, 'hold'], `${message} the hold closes as if nothing was said.`);
    }
  }
}
