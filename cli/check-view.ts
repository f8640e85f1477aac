import { checks } from '../domain/preflight/checks.ts';
import { severities, type Finding, type Severity } from '../domain/preflight/finding.ts';
import { countsOf, type Report } from '../domain/preflight/preflight.ts';
import { counted } from '../domain/text.ts';
import type { Terminal } from './terminal.ts';

/** Findings of one check that are shown to a person; `--json` has all of them. */
const shownPerCheckMax = 10;
const sarifSchema = 'https://json.schemastore.org/sarif-2.1.0.json';
const levels: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', note: 'note' };

/** The report for programs. */
export function reportJson(report: Report, cluster: string): object {
  return { cluster, ...report, counts: countsOf(report) };
}

/** The report for a person: the worst first, by check. */
export function checkLines(report: Report, cluster: string, { colors }: Terminal): string[] {
  const paint = { error: colors.red, warning: colors.yellow, note: colors.dim };
  const lines = [`Check of ${colors.bold(cluster)}, at ${report.version}, before it goes to ${report.toVersion}: nothing is changed`, ''];
  for (const [severity, findings] of groups(report)) {
    const [{ check, source }] = findings as [Finding];
    lines.push(`${paint[severity](severity)}  ${colors.bold(check)}: ${titleOf(check)}`);
    for (const { object, why, remedy } of findings.slice(0, shownPerCheckMax)) {
      lines.push(`  ${object}: ${why}`, colors.dim(`    ${remedy}`));
    }
    if (findings.length > shownPerCheckMax) lines.push(`  and ${findings.length - shownPerCheckMax} more: --json shows all`);
    lines.push(colors.dim(`  Source: ${source}`), '');
  }
  return [...lines, ...otherLines(report), verdict(report)];
}

/** The report as a page for a ticket or a wiki. */
export function checkMarkdown(report: Report, cluster: string): string[] {
  const lines = [`# Check of \`${cluster}\`: ${report.version} to ${report.toVersion}`, '', verdict(report), ''];
  if (report.findings.length > 0) {
    lines.push('| Severity | Check | Object | Why | What to do |', '|---|---|---|---|---|');
    for (const { severity, check, source, object, why, remedy } of report.findings) {
      lines.push(`| ${severity} | [${check}](${source}) | ${[object, why, remedy].map(cell).join(' | ')} |`);
    }
    lines.push('');
  }
  const others = otherLines(report);
  return [...lines, ...others.filter((line) => line !== '').map((line) => `- ${cell(line)}`)];
}

/** The report as JUnit XML: one test for each finding, one for each check that has found nothing, skipped ones for what was not checked. */
export function junitLines(report: Report, cluster: string): string[] {
  const { findings, notChecked, waived } = report;
  const found = new Set([...findings, ...waived.map(({ finding }) => finding)].map(({ check }) => check));
  const left = new Set(notChecked.map(({ check }) => check));
  const quiet = checks.filter(({ name }) => !found.has(name) && !left.has(name));
  const failures = findings.filter(({ severity }) => severity !== 'note');
  const count = findings.length + waived.length + notChecked.length + quiet.length;
  const skipped = notChecked.length + waived.length;
  const open = (check: string, name: string): string => `  <testcase classname=${attribute(check)} name=${attribute(name)}`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name=${attribute(`holdpoint check ${cluster}`)} tests="${count}" failures="${failures.length}" skipped="${skipped}">`,
    ...findings.map(({ check, name, severity, why, remedy }) => {
      if (severity === 'note') return `${open(check, name)}><system-out>${xml(`${why} ${remedy}`)}</system-out></testcase>`;
      return `${open(check, name)}><failure type=${attribute(severity)} message=${attribute(why)}>${xml(remedy)}</failure></testcase>`;
    }),
    ...waived.map(({ finding, waiver }) => {
      const message = `waived until ${waiver.until}: ${waiver.reason}`;
      return `${open(finding.check, finding.name)}><skipped message=${attribute(message)}/></testcase>`;
    }),
    ...notChecked.map(({ check, because }) => {
      return `${open(check, check)}><skipped message=${attribute(`not checked, because: ${because}`)}/></testcase>`;
    }),
    ...quiet.map(({ name }) => `${open(name, name)}/>`),
    '</testsuite>',
  ];
}

/** The report as SARIF 2.1.0 (OASIS); the cluster stands in the place of the file. */
export function sarifOf(report: Report, cluster: string, version: string): object {
  const result = ({ check, severity, why, remedy, object, name }: Finding): Record<string, unknown> => ({
    ruleId: check,
    level: levels[severity],
    message: { text: `${object}: ${why} ${remedy}` },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: cluster }, region: { startLine: 1 } },
        logicalLocations: [{ fullyQualifiedName: object, kind: 'resource' }],
      },
    ],
    partialFingerprints: { finding: name },
  });
  const rules = checks.map(({ name, title, source }) => ({ id: name, shortDescription: { text: title }, helpUri: source }));
  const notifications = report.notChecked.map(({ check, because }) => ({
    level: 'warning',
    message: { text: `${check} was not checked, because: ${because}` },
  }));
  const suppressed = report.waived.map(({ finding, waiver }) => ({
    ...result(finding),
    suppressions: [{ kind: 'external', justification: `${waiver.reason} (until ${waiver.until})` }],
  }));
  return {
    $schema: sarifSchema,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'holdpoint check', version, rules } },
        invocations: [{ executionSuccessful: true, toolExecutionNotifications: notifications }],
        results: [...report.findings.map(result), ...suppressed],
      },
    ],
  };
}

function groups({ findings }: Report): [Severity, Finding[]][] {
  return severities.flatMap((severity) =>
    checks.flatMap(({ name }): [Severity, Finding[]][] => {
      const own = findings.filter((finding) => finding.severity === severity && finding.check === name);
      return own.length === 0 ? [] : [[severity, own]];
    }),
  );
}

function otherLines({ waived, over, notChecked, leftOut }: Report): string[] {
  const lines = [
    ...waived.map(({ finding, waiver }) => `waived until ${waiver.until}: ${finding.name}: ${waiver.reason}`),
    ...over.map(({ finding, waiver }) => `the waiver of ${finding} is over since ${waiver.until}: it counts for nothing`),
    ...notChecked.map(({ check, because }) => `not checked, because: ${because}: ${check}`),
    ...Object.entries(leftOut).map(([check, count]) => `${counted(count, 'more finding')} of ${check} left out`),
  ];
  return lines.length === 0 ? [] : [...lines, ''];
}

function verdict(report: Report): string {
  const { error, warning, note } = countsOf(report);
  const counts = `${counted(error, 'error')}, ${counted(warning, 'warning')}, ${counted(note, 'note')}`;
  const others = report.waived.length === 0 ? '' : `, ${report.waived.length} waived`;
  const left = report.notChecked.length === 0 ? '' : `; ${counted(report.notChecked.length, 'check')} could not be made`;
  return `Found: ${counts}${others}${left}.`;
}

function titleOf(check: string): string {
  return checks.find(({ name }) => name === check)?.title ?? '';
}

/** What Markdown would read as the end of a cell, or as HTML. */
function cell(text: string): string {
  return text.replace(/[\\|<>[\]`*_]/g, (character) => `\\${character}`).replace(/\s+/g, ' ');
}

function attribute(text: string): string {
  return `"${xml(text).replaceAll('"', '&quot;')}"`;
}

/** What XML 1.0 has no way to write is told as a character that is unknown. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
