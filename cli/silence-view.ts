import type { Unanswered } from '../client/holdpoint.ts';
import type { Silence } from '../client/temporal/silence.ts';
import { endPhases, type RunState } from '../domain/run/state.ts';
import { formatDuration, formatTime, listOfNames } from './format.ts';
import type { Terminal } from './terminal.ts';

const startOne = 'Start a worker (`holdpoint worker`), or look into the logs of those that run; `holdpoint doctor` looks at all of it.';

/** Tells whoever waits that no worker has answered so far, and what becomes of what they have asked for. */
export function tellSilence(terminal: Terminal, silence: Silence, about: 'question' | 'word' | 'plan'): void {
  const becomes = {
    question: 'Nothing was sent yet. Still asking; Ctrl-C gives up.',
    word: 'It may have been taken or not. Still waiting for the answer; after Ctrl-C, `holdpoint show` tells how the run stands.',
    plan: 'Nothing was changed. Still waiting for a moment; Ctrl-C gives up.',
  }[about];
  terminal.note(`${terminal.colors.yellow('!')} ${silenceText(silence, terminal.surroundings.now())} ${becomes}`);
}

/** That nobody answers on which queue, and since when. */
export function silenceText({ queue, address, lastPollAt }: Silence, now: Date): string {
  const where = `the task queue ${queue} of ${address}`;
  if (lastPollAt === undefined) return `No worker listens on ${where}; none has for five minutes.`;
  const ago = formatDuration(Math.max(0, now.getTime() - Date.parse(lastPollAt)));
  return `No worker answers on ${where}. One last asked it for work ${ago} ago, at ${formatTime(lastPollAt)}.`;
}

/** What to know of a run that no worker has answered for: how old this is, what goes on all the same, and what to do. */
export function unansweredLines({ run, phase }: RunState, lastKnown: Unanswered, terminal: Terminal): string[] {
  const { colors, surroundings } = terminal;
  const { why, at, incomplete, carriedOut } = lastKnown;
  const reason =
    why === 'silent'
      ? silenceText(lastKnown, surroundings.now())
      : 'The workers that answer cannot replay this run: their code is another one than it began with.';
  const steps = carriedOut.map(({ step }) => step);
  const isOver = endPhases.includes(phase);
  const goesOn = isOver
    ? 'The run is over, and this is how it ended.'
    : carriedOut.length > 0
      ? `The worker that carries out ${listOfNames(steps)} was last heard of at ${formatTime(carriedOut[0]?.at)}. ` +
        'If it has ended, another one looks at the world and goes on from there.'
      : 'Nothing is lost: the run goes on from here when a worker is there. Until then it begins nothing; what EKS, RDS or pods that ' +
        'end were asked for goes on by itself, and nodes stay cordoned.';
  const todo = why === 'silent' ? startOne : 'Run a worker of the build that it began with: docs/changing-workflow-code.md.';
  return [
    `${colors.red('!')} ${colors.bold('Last known, not live')}: as of ${formatTime(at)}, from Temporal. ${reason}`,
    `  ${goesOn}`,
    ...(isOver ? [] : [`  ${todo} Until one answers, pause, abort and approve are refused.`]),
    ...(incomplete ? ['  Some of what it has done is in its record only: `holdpoint evidence show`.'] : []),
    colors.dim(`  holdpoint logs ${run}   what has happened so far`),
  ];
}
