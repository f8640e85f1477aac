import { compareText } from '../text.ts';
import { checks } from './checks.ts';
import { severities, type Check, type Finding, type Severity } from './finding.ts';
import type { Aim, Parts, Snapshot } from './snapshot.ts';
import { waiverOf, type Waiver } from './waiver.ts';

/** How many findings of one check are kept; a cluster may have thousands of workloads without a readiness probe. */
export const findingsPerCheckMax = 1_000;

/** A check that could not be made. */
export interface NotChecked {
  check: string;
  because: string;
}

/** What was found of a cluster. */
export interface Report {
  version: string;
  toVersion: string;
  /** The worst first, then by check and object. Those that are waived are not in it. */
  findings: Finding[];
  waived: { finding: Finding; waiver: Waiver }[];
  /** Waivers whose time is over, of findings that are still there: they count for nothing. */
  over: { finding: string; waiver: Waiver }[];
  notChecked: NotChecked[];
  /** How many findings of a check are not in the report because there are too many. */
  leftOut: Record<string, number>;
}

/** Makes every check over what was read. Pure: the same cluster at the same time gives the same report. */
export function preflight(snapshot: Snapshot, aim: Aim, waivers: readonly Waiver[] = []): Report {
  const { version, toVersion, nowMs } = aim;
  const report: Report = { version, toVersion, findings: [], waived: [], over: [], notChecked: [], leftOut: {} };
  for (const check of checks) {
    if (check.reads.some((part) => snapshot[part] === undefined)) continue;
    const because = unreadOf(check, snapshot);
    if (because !== undefined) {
      report.notChecked.push({ check: check.name, because });
      continue;
    }
    const found = findingsOf(check, snapshot, aim);
    if (found.length > findingsPerCheckMax) report.leftOut[check.name] = found.length - findingsPerCheckMax;
    for (const finding of found.slice(0, findingsPerCheckMax)) {
      const waiver = waiverOf(finding, waivers, nowMs);
      if (waiver?.inForce) report.waived.push({ finding, waiver: waiver.waiver });
      else report.findings.push(finding);
      if (waiver && !waiver.inForce) report.over.push({ finding: finding.name, waiver: waiver.waiver });
    }
  }
  report.findings.sort(byWeight);
  return report;
}

/** How many findings there are of each severity. */
export function countsOf({ findings }: Pick<Report, 'findings'>): Record<Severity, number> {
  const count = (severity: Severity): number => findings.filter((finding) => finding.severity === severity).length;
  return { error: count('error'), warning: count('warning'), note: count('note') };
}

function unreadOf({ reads }: Check, snapshot: Snapshot): string | undefined {
  const reasons = reads.flatMap((part) => {
    const reading = snapshot[part];
    return reading && 'unread' in reading ? [reading.unread] : [];
  });
  return reasons.length === 0 ? undefined : [...new Set(reasons)].join('; ');
}

function findingsOf(check: Check, snapshot: Snapshot, aim: Aim): Finding[] {
  const values = Object.entries(snapshot).flatMap(([part, reading]) => ('value' in reading ? [[part, reading.value]] : []));
  const { name, source } = check;
  const parts = Object.fromEntries(values) as unknown as Parts;
  return check
    .find(parts, aim)
    .map((found) => ({ name: `${name}:${found.object}`, check: name, source, ...found }))
    .sort(byWeight);
}

function byWeight(one: Finding, other: Finding): number {
  return severities.indexOf(one.severity) - severities.indexOf(other.severity) || compareText(one.name, other.name);
}
