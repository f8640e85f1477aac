import { keysOf, textOfKey } from '../../domain/approval/keys.ts';
import { bytesOfBase64url } from '../../domain/base64.ts';
import { signedKinds } from '../../domain/evidence/evidence.ts';
import type { WholeEntry } from '../../domain/evidence/meaning.ts';
import { toldOf } from '../../domain/evidence/narrative.ts';
import { planIn } from '../../domain/run/ledger.ts';
import type { Json } from '../../domain/json.ts';
import { ownValue } from '../../domain/map.ts';
import { digestOfText, signedTextOf, type SpanPlan } from '../../domain/plan/plan.ts';
import { visibleJson } from '../../domain/visible.ts';
import { counted } from '../../domain/text.ts';
import { listOfNames, shellWords } from '../format.ts';
import type { PageData } from './data.ts';
import type { Make, PageElement } from './elements.ts';
import type { PageVerification } from './verify-page.ts';

/** What a page shows: what it found, what that proves, whose keys it trusts, what happened, and all that was signed. */
export function recordView(data: PageData, found: PageVerification, make: Make): PageElement[] {
  return [
    make('h1', `Record of ${data.run}`),
    verdict(data, found, make),
    ...proof(found, make),
    ...trustedKeys(data, found, make),
    ...timeline(found, make),
    ...plans(found, make),
    ...about(data, make),
  ];
}

function verdict(
  { run }: PageData,
  { verification: { ok, ending, entries, signatures, problems, notes } }: PageVerification,
  make: Make,
): PageElement {
  const people = [...new Set(signatures.map(({ person }) => person))];
  const signers = people.length > 0 ? ` (${listOfNames(people)})` : '';
  const size = `${counted(entries, 'entry', 'entries')}, ${counted(signatures.length, 'signature')}${signers}`;
  const section = make('section');
  const say = (kind: string, text: string): void => {
    const line = make('p', text);
    line.className = `verdict ${kind}`;
    section.append(line);
  };
  if (!ok)
    say(
      'broken',
      `✗ BROKEN: ${run}: ${size}, ${counted(problems.length, 'problem')}. This record was changed, or does not show what it says.`,
    );
  else if (ending === 'ended') say('ok', `✓ ${run}: ${size}. Verified by this page just now: nothing was changed, removed or moved.`);
  else say('open', `! ${run}: ${size}. What is there was not changed, but the end is missing: the run is open, or the end was cut off.`);
  if (problems.length > 0)
    section.append(
      list(
        problems.map(({ line, sentence }) => `Line ${line}: ${sentence}`),
        make,
      ),
    );
  if (notes.length > 0) section.append(list(notes, make));
  return section;
}

function list(sentences: readonly string[], make: Make): PageElement {
  return make('ul', ...sentences.map((sentence) => make('li', sentence)));
}

function proof({ verification: { ok, proven, notProven } }: PageVerification, make: Make): PageElement[] {
  if (!ok) return [make('h2', 'What is proven'), make('p', 'Nothing: a record with problems proves nothing.')];
  return [make('h2', 'What is proven'), list(proven, make), make('h2', 'What is not proven'), list(notProven, make)];
}

/** Each key that a signature was checked with, and why it is trusted. */
function trustedKeys({ trust, origin }: PageData, { entries }: PageVerification, make: Make): PageElement[] {
  const configuration = origin.configuration ?? 'holdpoint.yaml';
  const rows = new Map<string, string[]>();
  for (const { entry } of entries) {
    const { person, publicKey, jws } = entry.body;
    if (typeof jws === 'string' && typeof person === 'string' && typeof publicKey === 'string') {
      const isKnown = keysOf(ownValue(trust.people ?? {}, person)).some((key) => textOfKey(key) === publicKey);
      const source = isKnown ? configuration : 'the record itself: whose it is, is not proven';
      rows.set(`person ${person} ${publicKey}`, [`${person} (person)`, publicKey, digestOfText(publicKey), source]);
    }
    if (entry.worker === undefined) continue;
    const { worker } = entry;
    const [name, known] = Object.entries(trust.authority?.workers ?? {}).find(([, { key }]) => key === worker) ?? [];
    const period = known && `${configuration}, from ${known.from}${known.until === undefined ? '' : ` until ${known.until}`}`;
    const source = period ?? 'the record itself: whose it is, is not proven';
    rows.set(`worker ${worker}`, [`${name ?? 'unknown'} (worker)`, worker, digestOfText(worker), source]);
  }
  const row = (tag: 'th' | 'td', cells: readonly string[]): PageElement => make('tr', ...cells.map((cell) => make(tag, cell)));
  return [
    make('h2', 'The keys that signatures were checked with'),
    make(
      'table',
      row('th', ['Whose', 'Key', 'Fingerprint (SHA-256 of the text of the key)', 'Where it is from']),
      ...[...rows.values()].map((cells) => row('td', cells)),
    ),
    make('p', 'Compare the fingerprints with those that you have from somewhere else, such as from the people themselves.'),
  ];
}

function timeline({ entries }: PageVerification, make: Make): PageElement[] {
  const rows = entries.map(({ entry, isSigned }) => {
    const { says, more = [] } = toldOf(entry);
    const cell = make('td', says, ...more.map((line) => make('p', line)));
    const statement = statementIn(entry.body.jws);
    if (statement !== undefined) {
      cell.append(make('p', isSigned ? '✓ the signature holds' : '✗ THE SIGNATURE DOES NOT HOLD'));
      cell.append(make('details', make('summary', 'What was signed, word for word'), make('pre', visibleJson(statement))));
    }
    return make('tr', make('td', String(entry.sequence)), make('td', entry.at), cell);
  });
  return [
    make('h2', 'What happened'),
    make('table', make('tr', ...['Entry', 'Written at', 'What'].map((head) => make('th', head))), ...rows),
  ];
}

/** The statement under a signature: the middle of a JWS. */
function statementIn(jws: Json | undefined): string | undefined {
  if (typeof jws !== 'string') return undefined;
  const bytes = bytesOfBase64url(jws.split('.')[1] ?? '');
  return bytes ? new TextDecoder().decode(bytes) : 'It cannot be read.';
}

/** Every plan that somebody has signed, or that was put up for signature, with all that its hash covers. */
function plans({ entries }: PageVerification, make: Make): PageElement[] {
  const seen = new Set<string>();
  const shown = entries.flatMap(({ entry: { sequence, body } }) => {
    const plan = planIn(body.plan);
    if (!plan || seen.has(plan.hash)) return [];
    seen.add(plan.hash);
    return [planView(plan, sequence, signersOf(plan, entries), make)];
  });
  return [make('h2', 'The plans, as they were signed'), ...shown];
}

function signersOf({ hash }: SpanPlan, entries: readonly WholeEntry[]): string[] {
  return entries.flatMap(({ entry: { kind, body }, isSigned }) => {
    if (!isSigned || body.planHash !== hash || typeof body.person !== 'string') return [];
    if (kind === signedKinds.start || kind === signedKinds.schedule) return [`${body.person} (start)`];
    if (kind === signedKinds['break-glass']) return [`${body.person} (BREAK GLASS)`];
    return kind === signedKinds.decision || kind === signedKinds['pre-approval']
      ? [`${body.person} (${inWords(body.decision ?? 'pre-approval')})`]
      : [];
  });
}

function planView(plan: SpanPlan, sequence: number, signers: readonly string[], make: Make): PageElement {
  const text = signedTextOf(plan);
  const steps = plan.steps.map(({ id, uses, plan: { effects, risks } }) => {
    const lines = [
      ...effects.map(
        ({ object, change, before, after }) =>
          `${object}: ${change}${before === undefined ? '' : ` (${inWords(before)} → ${inWords(after)})`}`,
      ),
      ...risks.map(({ object, risk }) => `risk: ${object}: ${risk}`),
    ];
    return make('li', `${id} (${uses})`, list(lines.length > 0 ? lines : ['changes nothing'], make));
  });
  return make(
    'section',
    make('h3', `${plan.title} on ${plan.target}, entry ${sequence}`),
    make('p', `Signed by ${signers.length > 0 ? listOfNames(signers) : 'nobody'}.`),
    make('ul', ...steps),
    make('p', 'Its hash, computed by this page from the text below: ', make('code', digestOfText(text))),
    make('details', make('summary', 'The signed text, whole'), make('pre', visibleJson(text))),
  );
}

function inWords(value: Json | undefined): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}

function about({ origin, heads }: PageData, make: Make): PageElement[] {
  const { record, configuration, madeAt, version } = origin;
  const compared = configuration === undefined ? 'without a holdpoint.yaml' : `with ${configuration}`;
  const places = Array.isArray(heads) && heads.length > 0 ? ' The heads of the second place are those that were there then.' : '';
  const command = ['holdpoint', 'evidence', 'verify', record, ...(configuration === undefined ? [] : ['--config', configuration])];
  return [
    make('h2', 'About this page'),
    make('p', `Made by holdpoint ${version} at ${madeAt} from ${record}, ${compared}.${places}`),
    make(
      'p',
      'The page loads nothing and sends nothing. It finds changes in the record that it holds. Whoever can change the page itself ' +
        'can also change the script that verifies and the keys above: take the page from somebody you trust, make it yourself, or use ',
      make('code', shellWords(command)),
      '.',
    ),
  ];
}
