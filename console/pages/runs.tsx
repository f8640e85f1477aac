import type { ReactNode } from 'react';
import { Link, useSearchParams } from 'wouter';
import type * as z from 'zod';
import type { runs as runsSchema } from '../../api/schema/answers.ts';
import { useWords } from '../language.ts';
import { Command, ProblemBox, Time, Title, Told, useRead } from '../parts/parts.tsx';

/** The list of runs, as the address filters it. */
export function RunsPage(): ReactNode {
  const words = useWords();
  const [search, setSearch] = useSearchParams();
  const asked = new URLSearchParams([...search].filter(([name]) => ['phase', 'target', 'cursor'].includes(name)));
  const { answer, problem, reload } = useRead<z.output<typeof runsSchema>>(`/runs?${asked.toString()}`);
  const set = (name: string, value: string): void =>
    setSearch((before) => {
      const next = new URLSearchParams(before);
      if (value === '') next.delete(name);
      else next.set(name, value);
      if (name !== 'cursor') next.delete('cursor');
      return next;
    });
  return (
    <article>
      <Title tab={words.runs}>{words.runs}</Title>
      <div className="filters">
        <label>
          {words.phase}
          <select value={search.get('phase') ?? ''} onChange={({ target }) => set('phase', target.value)}>
            <option value="">{words.allPhases}</option>
            {Object.entries(words.phases).map(([phase, name]) => (
              <option key={phase} value={phase}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {problem && <ProblemBox problem={problem} onAgain={reload} />}
      {!answer && !problem && <p>{words.loading}</p>}
      {answer && answer.runs.length === 0 && <p>{words.noRuns}</p>}
      <ul className="cards">
        {answer?.runs.map((run) => (
          <li key={run.run} className="box run">
            <Link href={`/runs/${run.run}`}>{run.run}</Link>
            <span className={`phase ${run.phase}`}>{words.phases[run.phase] ?? run.phase}</span>
            <span>
              <Told>{run.target}</Told>
            </span>
            <span className="quiet">
              <Told>{run.runbook}</Told> · {words.startedBy(run.requester)} · <Time iso={run.startedAt} />
            </span>
          </li>
        ))}
      </ul>
      {answer?.next && (
        <button type="button" onClick={() => set('cursor', answer.next ?? '')}>
          {words.nextPage}
        </button>
      )}
      {answer && <Command text={answer.command} />}
    </article>
  );
}
