import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { LiveRunWithoutPlan } from '../../api/schema/run.ts';
import { useWords } from '../language.ts';
import { useFreshness, useRun } from '../live.ts';
import { Command, FreshnessLine, ProblemBox, Title, Told } from '../parts/parts.tsx';

/** What a run works on right now, one cell for each object: how far it has come, and what it waits for. */
export function NodesPage({ run }: { run: string }): ReactNode {
  const words = useWords();
  const watched = useRun(run);
  const freshness = useFreshness(watched);
  const { live, problem } = watched;
  if (!live) return problem ? <ProblemBox problem={problem} /> : <p>{words.loading}</p>;
  const working = Object.entries(live.progress);
  return (
    <article>
      <Title tab={words.nodes}>
        {words.nodes}: {run}
      </Title>
      <p>
        <Link href={`/runs/${run}`}>{words.toTheRun}</Link>
      </p>
      <FreshnessLine freshness={freshness} isOver={watched.isOver} />
      {problem && <ProblemBox problem={problem} />}
      {working.length === 0 && <p>{words.nothingMoves}</p>}
      {working.map(([step, progress]) => (
        <Work key={step} step={step} progress={progress} />
      ))}
      <Command text={`holdpoint show ${run} --watch`} />
    </article>
  );
}

type Progress = LiveRunWithoutPlan['progress'][string];

function Work({ step, progress: { summary, done, total, unit, items, todo } }: { step: string; progress: Progress }): ReactNode {
  const words = useWords();
  return (
    <section>
      <h2>{step}</h2>
      <p>
        <Told>{summary}</Told>{' '}
        <span className="quiet">
          ({done} / {total} {unit})
        </span>
      </p>
      <Todos todo={todo} />
      <ul className="nodes">
        {items.map(({ name, state, done: ended, total: all, detail }) => (
          <li key={name} className={`box ${state === 'blocked' ? 'bad' : state === 'moving' ? 'consequence' : ''}`}>
            <strong>
              <Told>{name}</Told>
            </strong>{' '}
            <span className={`mark ${state === 'done' ? 'good' : state === 'blocked' ? 'bad' : ''}`}>{words.nodeStates[state]}</span>
            {all > 0 && (
              <span className="quiet">
                {' '}
                {ended} / {all}
              </span>
            )}
            {detail !== undefined && (
              <p>
                <Told>{detail}</Told>
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What a person can do about what waits. */
export function Todos({ todo = [] }: { todo?: Progress['todo'] }): ReactNode {
  const words = useWords();
  return todo.map(({ text, command }) => (
    <div key={text} className="box warn">
      <p>
        {words.whatToDo}: <Told>{text}</Told>
      </p>
      {command !== undefined && (
        <pre>
          <Told>{command}</Told>
        </pre>
      )}
    </div>
  ));
}
