import { signedKinds, skippedKind, type EvidenceEntry } from './evidence/evidence.ts';
import { isObject, type Json } from './json.ts';
import { shortHash } from './plan/plan.ts';
import { visible } from './visible.ts';

/** What people can be told of. */
export const notificationEvents = [
  'opened',
  'reminder',
  'escalated',
  'stuck',
  'drift',
  'window-closing',
  'done',
  'break-glass',
  'skipped',
] as const;

/**
 * Something that people are told of. `drift`: a hold opens again, as the plan has changed after it was signed. `skipped`: a schedule has
 * not started its run.
 */
export type NotificationEvent = (typeof notificationEvents)[number];

/** Which events go to which channels. What is left out matches everything. */
export interface Route {
  events?: NotificationEvent[];
  /** Names of policies; only what concerns a hold has one. */
  policies?: string[];
  /** Groups that those policies ask for signatures of. */
  groups?: string[];
  channels: string[];
}

/** How a message came to be sent. `repeat`: nobody knows whether an earlier one of the same has arrived. */
export type MessageMark = 'repeat' | 'test';

/** A message as channels send it: plain text, whose first line is its title. */
export interface Message {
  /** The same for each repeat, and for no other message. */
  id: string;
  event: NotificationEvent | 'test';
  /** When it happened; ISO 8601, UTC. */
  at: string;
  run: string;
  target: string;
  title: string;
  text: string;
  mark?: MessageMark;
  /** What the text is made of, by the names of the placeholders. */
  values: Readonly<Record<string, string>>;
}

/** The placeholders of templates. A line of a template whose placeholders are all empty is left out. */
export const placeholders = [
  'event',
  'run',
  'target',
  'runbook',
  'requester',
  'ticket',
  'about',
  'question',
  'signatures',
  'group',
  'person',
  'by',
  'plan',
  'phase',
  'reason',
  'remedy',
  'link',
  'commands',
] as const;

type Values = Record<(typeof placeholders)[number], string>;

/** How many characters a template may have. */
export const templateCharactersMax = 8_000;
/** How much of each text of somebody else a message shows. */
const valueCharactersMax = 500;
/** How many characters the title has at most. */
const titleCharactersMax = 200;

const ofRun = `Runbook: {runbook}, started by {requester}
Ticket: {ticket}`;
const ofHold = `${ofRun}
Question, in its author's words: {question}
Signatures: {signatures}
By: {by} (silence never approves)
Plan: {plan}

{link}
{commands}`;

const templates: Record<NotificationEvent, string> = {
  opened: `Approval needed: {about} of {run} on {target}\n${ofHold}`,
  reminder: `Reminder, approval needed: {about} of {run} on {target}\n${ofHold}`,
  escalated: `Escalated, approval needed: {about} of {run} on {target}\nPeople of {group} may sign as well\n${ofHold}`,
  drift: `The plan has changed, approval needed anew: {about} of {run} on {target}\n${ofHold}`,
  'break-glass': `BREAK GLASS by {person}: {about} of {run} on {target}\n${ofRun}\nReason: {reason}\n\n{link}\n{commands}`,
  stuck: `Stuck: {about} of {run} on {target}\n${ofRun}\nReason: {reason}\nWhat to do: {remedy}\n\n{link}\n{commands}`,
  'window-closing':
    `The window has closed while {about} goes on: {run} on {target}\n${ofRun}\n` +
    `Closed: {by}\nWhat to do: {remedy}\n\n{link}\n{commands}`,
  skipped: `Not started: {about} on {target}\n${ofRun}\nReason: {reason}\nWhat to do: {remedy}\n\n{link}\n{commands}`,
  done: `Ended ({phase}): {run} on {target}\n${ofRun}\nReason: {reason}\n\n{link}\n{commands}`,
};

/** What to do about what has no remedy of its own in the record. */
const remedies: Partial<Record<NotificationEvent, string>> = {
  'window-closing': 'Nothing, if it may go on: the step is finished, and the run waits for the next opening then. Else pause the run.',
};

const remedyOfUndo = 'Nothing: the step is stopped, and what the run has changed is undone, as the runbook says. Watch that with `show`.';

/** The event that an entry of a record is; undefined for those that nobody is told of. */
export function eventOf({ kind, body }: Pick<EvidenceEntry, 'kind' | 'body'>): NotificationEvent | undefined {
  switch (kind) {
    case 'hold.requested':
      return body.drift === null || body.drift === undefined ? 'opened' : 'drift';
    case signedKinds['break-glass']:
      return 'break-glass';
    case 'hold.reminded':
      return 'reminder';
    case 'hold.escalated':
      return 'escalated';
    case 'step.stuck':
      return 'stuck';
    case skippedKind:
      return 'skipped';
    case 'window.parked':
      // Nobody has to do anything about one that opens again.
      return body.opensAt === null ? 'stuck' : undefined;
    case 'window.closed':
      return body.atClose === 'page' || body.atClose === 'undo' ? 'window-closing' : undefined;
    case 'run.ended':
      // Whoever has started a run that was refused was told at once.
      return body.phase === 'refused' ? undefined : 'done';
    default:
      return undefined;
  }
}

/** The channels that are told of an entry, each once, in the order of the routes. A hold that opens again is one that has opened, too. */
export function channelsFor(routes: readonly Route[], entry: Pick<EvidenceEntry, 'kind' | 'body'>): string[] {
  const event = eventOf(entry);
  if (event === undefined) return [];
  const names: NotificationEvent[] = event === 'drift' ? ['drift', 'opened'] : [event];
  const policies = isObject(entry.body.policy) && typeof entry.body.policy.name === 'string' ? [entry.body.policy.name] : [];
  const groups = groupsIn(entry.body.policy);
  const matching = routes.filter(
    (route) => isAmong(route.events, names) && isAmong(route.policies, policies) && isAmong(route.groups, groups),
  );
  return [...new Set(matching.flatMap(({ channels }) => channels))];
}

function isAmong(wanted: readonly string[] | undefined, given: readonly string[]): boolean {
  return wanted === undefined || wanted.some((name) => given.includes(name));
}

/** The groups that a policy names, however deep. */
function groupsIn(policy: Json | undefined): string[] {
  if (Array.isArray(policy)) return policy.flatMap(groupsIn);
  if (!isObject(policy)) return [];
  return Object.entries(policy).flatMap(([key, value]) => (key === 'of' && typeof value === 'string' ? [value] : groupsIn(value)));
}

/**
 * The message of an entry. It tells nothing but what the record says: of the run its first entry, `started`, of what has happened the
 * entry itself. Undefined for an entry that nobody is told of.
 *
 * @param templateOf gives a text in the place of the one that is built in, for an event.
 */
export function messageOf(
  started: EvidenceEntry,
  entry: EvidenceEntry,
  { mark, templateOf, pagesUrl }: MessageOptions = {},
): Message | undefined {
  const event = eventOf(entry);
  if (event === undefined) return undefined;
  const values = { ...valuesOf(event, started, entry), link: pagesUrl === undefined ? '' : pageOf(pagesUrl, entry) };
  const [title = '', ...lines] = fill(templateOf?.(event) ?? templates[event], values).split('\n');
  const { run, sequence, at } = entry;
  const message = { id: `${run}/${sequence}`, event, at, run, target: values.target, values };
  return { ...message, ...marked(title, lines, mark), ...(mark && { mark }) };
}

/** What is sent to see whether a channel works. `id` is the sender's. */
export function testMessage(id: string, at: string): Message {
  const lines = ['A person has asked for this with `holdpoint notifications test`. Nothing has happened, and nothing is asked.'];
  return { id, event: 'test', at, run: '', target: '', ...marked('This channel works', lines, 'test'), mark: 'test', values: {} };
}

function marked(title: string, lines: readonly string[], mark: MessageMark | undefined): Pick<Message, 'title' | 'text'> {
  const shown = visible(mark === undefined ? title : `[${mark}] ${title}`, titleCharactersMax);
  const note = mark === 'repeat' ? ['This may be a repeat: nobody knows whether it has arrived before.'] : [];
  return { title: shown, text: [shown, ...note, ...lines].join('\n').trimEnd() };
}

/** How a message is made. */
export interface MessageOptions {
  mark?: MessageMark;
  templateOf?: (event: NotificationEvent) => string | undefined;
  /** Where people reach the pages, without a path; messages have no link where it is left out. */
  pagesUrl?: string;
}

/** The page that a message is about: a request for signatures, a run, or the list of runs for what has none. */
function pageOf(pagesUrl: string, { run, body }: EvidenceEntry): string {
  // A start that was left out has no run.
  if (typeof body.schedule === 'string') return `${pagesUrl}/runs`;
  const { hold: name, number } = body;
  const hold = typeof name === 'string' && typeof number === 'number' ? `/holds/${encodeURIComponent(name)}/${number}` : '';
  return `${pagesUrl}/runs/${encodeURIComponent(run)}${hold}`;
}

function valuesOf(event: NotificationEvent, { body: start }: EvidenceEntry, { run, body }: EvidenceEntry): Omit<Values, 'link'> {
  const text = (value: Json | undefined): string => (typeof value === 'string' ? visible(value, valueCharactersMax) : '');
  const hold = text(body.hold);
  const step = text(body.step);
  const schedule = event === 'skipped' ? text(body.schedule) : '';
  const plan = typeof body.planHash === 'string' && /^sha256:[0-9a-f]{64}$/.test(body.planHash) ? shortHash(body.planHash) : '';
  const policy = isObject(body.policy) ? body.policy : {};
  const atLeast = typeof policy.atLeast === 'number' ? `${policy.atLeast} of ${groupsIn(policy).join(', ')}` : groupsIn(policy).join(', ');
  return {
    event,
    run,
    target: text(start.target),
    runbook: text(start.runbookName),
    requester: text(start.person),
    ticket: [text(start.ticket), text(start.ticketLink)].filter((part) => part !== '').join(' '),
    about: schedule !== '' ? `schedule ${schedule}` : hold !== '' ? `hold ${hold}` : step === '' ? '' : `step ${step}`,
    question: text(body.question),
    signatures: atLeast === '' ? '' : `${visible(atLeast, valueCharactersMax)} (policy ${text(policy.name)})`,
    group: text(body.to),
    person: text(body.person),
    by: text(body.expiresAt ?? body.closesAt),
    plan,
    phase: text(body.phase),
    reason: text(body.reason),
    remedy: body.atClose === 'undo' ? remedyOfUndo : (remedies[event] ?? text(body.remedy)),
    commands: [
      schedule === '' ? `holdpoint show ${run}` : `holdpoint schedule show ${schedule}`,
      ...(plan === '' || event === 'break-glass' ? [] : [`holdpoint approve ${run} --plan ${plan}`]),
    ].join('\n'),
  };
}

function fill(template: string, values: Values): string {
  const lines = template.split('\n').flatMap((line) => {
    const names = [...line.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name).filter((name) => Object.hasOwn(values, name));
    if (names.length > 0 && names.every((name) => values[name as keyof Values] === '')) return [];
    return [line.replace(/\{(\w+)\}/g, (place, name: string) => (Object.hasOwn(values, name) ? values[name as keyof Values] : place))];
  });
  return lines.join('\n');
}

/** What is wrong with the text of a template, as sentences; none where it can be used. */
export function problemsOfTemplate(text: string): string[] {
  if (text.length > templateCharactersMax) return [`Has ${text.length} characters; at most ${templateCharactersMax} are allowed.`];
  if (text.trim() === '') return ['Is empty; its first line is the title of the message.'];
  const known: readonly string[] = placeholders;
  const unknown = [...text.matchAll(/\{(\w+)\}/g)].flatMap(([, name = '']) => (known.includes(name) ? [] : [name]));
  return [...new Set(unknown)].map((name) => `There is no placeholder {${name}}; there are ${known.map((one) => `{${one}}`).join(', ')}.`);
}
