import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Me } from '../../api/schema/answers.ts';
import type { LiveRunWithoutPlan, StateWithoutPlan } from '../../api/schema/run.ts';
import { commandsWithReason, type CommandName } from '../../domain/approval/statement.ts';
import type { StepState } from '../../domain/run/steps.ts';
import { useWords } from '../language.ts';
import { useFreshness, useRun } from '../live.ts';
import { Command, FreshnessLine, ProblemBox, Time, Title, Told } from '../parts/parts.tsx';
import { SignBox, type Choice } from '../parts/sign-box.tsx';
import { decisionAddress } from './decision.tsx';
import { Todos } from './nodes.tsx';

interface Answer {
  phase: string;
  hold?: string;
  notice?: string;
}

/** A run as it goes on: where it is, what it waits for, what comes next, what can be said to it. */
export function RunPage({ me, run }: { me: Me; run: string }): ReactNode {
  const words = useWords();
  const watched = useRun(run);
  const freshness = useFreshness(watched);
  const { live, problem } = watched;
  if (!live) return problem ? <ProblemBox problem={problem} /> : <p>{words.loading}</p>;
  const { state } = live;
  return (
    <article>
      <Title tab={state.runbook.title}>
        <Told>{state.runbook.title}</Told>
      </Title>
      <p className="quiet">
        <Told>{state.target}</Told> · {run} · {words.startedBy(state.requester)}
      </p>
      <p className="links">
        <Link href={`/runs/${run}/nodes`}>{words.nodes}</Link> <Link href={`/runs/${run}/evidence`}>{words.evidence}</Link>
      </p>
      <FreshnessLine freshness={freshness} isOver={watched.isOver} />
      {problem && <ProblemBox problem={problem} />}
      {live.lastKnown && <p className="box warn">{words.noWorker}</p>}
      <Where state={state} live={live} />
      <Verbs me={me} state={state} isLive={freshness.isLive} />
      <h2>{words.steps}</h2>
      <ol className="steps">
        {state.steps.map((step) => (
          <Step key={step.id} step={step} progress={live.progress[step.id]?.summary} />
        ))}
      </ol>
      <Command text={`holdpoint show ${run}`} />
    </article>
  );
}

function Where({ state, live }: { state: StateWithoutPlan; live: LiveRunWithoutPlan }): ReactNode {
  const words = useWords();
  const { stuck, hold, phase, ended, notice, run } = state;
  return (
    <section className={`box ${stuck ? 'bad' : 'consequence'}`}>
      <h2>
        {words.where}: <span className={`phase ${phase}`}>{words.phases[phase] ?? phase}</span>
      </h2>
      {stuck && (
        <>
          <p className="strong">{words.stuckAt(stuck.step)}</p>
          <p>
            <Told>{stuck.reason}</Told>
          </p>
          <p>
            {words.whatToDo}: <Told>{stuck.remedy}</Told>
          </p>
          <p className="quiet">{stuck.code}</p>
        </>
      )}
      {hold && phase === 'holding' && (
        <p>
          {words.waitsForSignatures} <strong>{hold.request.hold}</strong>.{' '}
          <Link className="button main" href={decisionAddress(run, hold.request.hold, hold.request.number)}>
            {words.lookAndSign}
          </Link>
        </p>
      )}
      {Object.entries(live.progress).map(([step, { todo }]) => (
        <Todos key={step} todo={todo} />
      ))}
      {live.retrying.map(({ attempt, reason }) => (
        <p key={reason}>
          <Told>{words.retrying(attempt, reason)}</Told>
        </p>
      ))}
      {notice !== undefined && (
        <p>
          <Told>{notice}</Told>
        </p>
      )}
      {ended && (
        <p>
          {words.ended}: <Time iso={ended.at} /> · <Told>{ended.reason}</Told>
        </p>
      )}
      {ended && ended.leftovers.length > 0 && (
        <>
          <p className="strong">{words.leftovers}</p>
          <ul>
            {ended.leftovers.map((left) => (
              <li key={left}>
                <Told>{left}</Told>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Verbs({ me, state, isLive }: { me: Me; state: StateWithoutPlan; isLive: boolean }): ReactNode {
  const words = useWords();
  if (state.commands.length === 0 || !me.roles.includes('operator')) return null;
  const choice = (command: CommandName): Choice<'command'> => ({
    name: command,
    label: words.sendVerb(command),
    look: command === 'abort' ? 'bad' : 'plain',
    said: (reason) => ({ kind: 'command', state, command, reason }),
    locked: isLive ? undefined : words.connecting,
  });
  const box = (commands: readonly CommandName[], needsReason: boolean): ReactNode =>
    commands.length > 0 && (
      <>
        <dl className="verbs">
          {commands.map((command) => (
            <div key={command}>
              <dt>{command}</dt>
              <dd>{words.verbs[command]}</dd>
            </div>
          ))}
        </dl>
        <SignBox<'command', Answer>
          me={me}
          path={`/runs/${state.run}/verbs`}
          needsReason={needsReason}
          choices={commands.map(choice)}
          ledTo={({ phase, notice }) => notice ?? words.phases[phase] ?? phase}
        />
      </>
    );
  return (
    <details className="box" open={state.stuck !== undefined}>
      <summary>{words.whatYouCanSay}</summary>
      {box(
        state.commands.filter((command) => !commandsWithReason.includes(command)),
        false,
      )}
      {box(
        state.commands.filter((command) => commandsWithReason.includes(command)),
        true,
      )}
    </details>
  );
}

function Step({ step, progress }: { step: StepState; progress?: string }): ReactNode {
  const words = useWords();
  const { id, title, uses, status, startedAt, endedAt, summary, parent } = step;
  const says = progress ?? step.progress?.summary ?? summary;
  return (
    <li className={parent === undefined ? '' : 'within'}>
      <span className={`phase ${status}`}>{words.statusesOfSteps[status] ?? status}</span>{' '}
      <strong>
        <Told>{title ?? id}</Told>
      </strong>{' '}
      <span className="quiet">{uses}</span>
      {says !== undefined && (
        <p>
          <Told>{says}</Told>
        </p>
      )}
      {startedAt !== undefined && (
        <p className="quiet">
          <Time iso={startedAt} />
          {endedAt !== undefined && (
            <>
              {' – '}
              <Time iso={endedAt} />
            </>
          )}
        </p>
      )}
    </li>
  );
}
