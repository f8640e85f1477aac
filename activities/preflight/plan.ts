import type { Finding } from '../../domain/preflight/finding.ts';
import { countsOf, type Report } from '../../domain/preflight/preflight.ts';
import { waiversFor, type Waiver } from '../../domain/preflight/waiver.ts';
import { compareText } from '../../domain/text.ts';
import type { Blocker, Risk } from '../../domain/plan/plan.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import type { Clients } from '../clients.ts';
import { withoutFullStop } from '../failure.ts';
import { checkCluster, type CheckOptions } from './check.ts';

/** Blockers of one plan; beyond that there are too many for anybody to read. */
const blockersMax = 100;
/** Checks that a plan names as notes. */
const notesMax = 50;

/** What checks add to a plan. */
export interface CheckedPlan {
  /** Errors that nobody has waived. */
  blockers: Blocker[];
  /** What people go past by signing. */
  risks: Risk[];
  /** Counts of warnings and notes by check, and what was not checked. */
  notes: string[];
}

/**
 * Checks a cluster before it goes to a version, as part of a plan: what is waived by the input or by holdpoint.yaml is a risk, which is
 * signed; errors that are not are blockers. Reads only. Throws what `checkCluster` throws.
 */
export async function planChecks(
  clients: Clients,
  target: Target,
  { toVersion, waive = [], ...others }: Omit<CheckOptions, 'waivers'> & { toVersion: string; waive?: readonly Waiver[] },
): Promise<CheckedPlan> {
  const configured = waiversFor(formatTarget(target), await clients.waivers());
  const report = await checkCluster(clients, target, { ...others, toVersion, waivers: [...waive, ...configured] });
  const errors = report.findings.filter(({ severity }) => severity === 'error');
  const more = errors.length - blockersMax;
  const rest: Blocker = {
    object: `Cluster/${target.name}`,
    reason: `${more} more errors were found.`,
    remedy: `\`holdpoint check ${formatTarget(target)} --to ${toVersion}\` shows all of them.`,
  };
  return {
    blockers: [...errors.slice(0, blockersMax).map((finding) => blockerOf(finding, report)), ...(more > 0 ? [rest] : [])],
    risks: report.waived.map(({ finding, waiver }) => riskOf(finding, waiver)).sort((one, other) => compareText(one.risk, other.risk)),
    notes: notesOf(report, target),
  };
}

function blockerOf({ object, name, why, remedy }: Finding, { over }: Report): Blocker {
  const ended = over.find(({ finding }) => finding === name);
  const since = ended ? ` Its waiver ended at ${ended.waiver.until}.` : '';
  return { object, reason: `${why}${since}`, remedy: `${remedy} People can sign to go past it until a time: waive "${name}".` };
}

function riskOf({ name, object, severity, why, remedy }: Finding, { reason, until }: Waiver): Risk {
  const risk = `A check finds a problem (${severity}, ${name}). It is waived until ${until}: ${withoutFullStop(reason)}.`;
  return { object, risk, detail: why, remedy };
}

function notesOf(report: Report, target: Target): string[] {
  const { warning, note } = countsOf(report);
  const unread = report.notChecked.map(({ check, because }) => `${check} was not checked, because: ${because}.`);
  if (warning + note === 0) return unread.slice(0, notesMax);
  const checks = [...new Set(report.findings.filter(({ severity }) => severity !== 'error').map(({ check }) => check))];
  const command = `\`holdpoint check ${formatTarget(target)} --to ${report.toVersion}\``;
  const counts = `The checks find ${warning} warnings and ${note} notes (${checks.join(', ')}): ${command} shows them.`;
  return [counts, ...unread].slice(0, notesMax);
}
