import { addonChecks } from './addons.ts';
import { budgetChecks } from './budgets.ts';
import { eksChecks } from './eks.ts';
import type { Check } from './finding.ts';
import { nodeChecks } from './nodes.ts';
import { storedVersionChecks } from './stored-versions.ts';
import { subnetChecks } from './subnets.ts';
import { webhookChecks } from './webhooks.ts';
import { workloadChecks } from './workloads.ts';

/** Every check, in the order in which they are told. A new one is added to the list of its subject. */
export const checks: readonly Check[] = [
  ...eksChecks,
  ...subnetChecks,
  ...addonChecks,
  ...nodeChecks,
  ...budgetChecks,
  ...workloadChecks,
  ...storedVersionChecks,
  ...webhookChecks,
];
