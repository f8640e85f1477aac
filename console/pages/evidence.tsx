import { useEffect, useState, type ReactNode } from 'react';
import { Link } from 'wouter';
import type { Evidence } from '../../api/schema/answers.ts';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Verification } from '../../domain/evidence/verification.ts';
import { useWords } from '../language.ts';
import { Command, ProblemBox, Time, Title, Told, useRead, valueText } from '../parts/parts.tsx';

/** The record of a run: whether it is whole, who has signed, and what happened when. */
export function EvidencePage({ run }: { run: string }): ReactNode {
  const words = useWords();
  const { answer, problem, reload } = useRead<Evidence>(`/runs/${encodeURIComponent(run)}/evidence`);
  return (
    <article>
      <Title tab={words.evidence}>
        {words.evidence}: {run}
      </Title>
      <p>
        <Link href={`/runs/${run}`}>{words.toTheRun}</Link>
      </p>
      {problem && <ProblemBox problem={problem} onAgain={reload} />}
      {!answer && !problem && <p>{words.loading}</p>}
      {answer && <Whole run={run} answer={answer} />}
    </article>
  );
}

function Whole({ run, answer }: { run: string; answer: Evidence }): ReactNode {
  const words = useWords();
  const report = answer.report as unknown as Verification;
  const entries = answer.entries as unknown as EvidenceEntry[];
  return (
    <>
      <section className={`box ${report.ok ? 'consequence' : 'bad'}`}>
        <p className="strong">{report.ok ? words.recordHolds(report.entries) : words.recordBroken(report.problems.length)}</p>
        <Sentences of={report.problems.map(({ line, sentence }) => `${line}: ${sentence}`)} />
        <Sentences of={report.proven} />
        {report.notProven.length > 0 && <p>{words.notProven}</p>}
        <Sentences of={[...report.notProven, ...report.notes]} />
        <p className="quiet">{words.verifyYourself}</p>
      </section>
      <h2>{words.signatures}</h2>
      <ul className="keys">
        {report.signatures.map(({ line, kind, person, ok, madeWith }) => (
          <li key={line}>
            <span className={`mark ${ok ? 'good' : 'bad'}`}>{ok ? '✓' : '✗'}</span> <Told>{person}</Told> · {kind}
            {madeWith && (
              <span className="quiet">
                {' '}
                · {madeWith.type}
                {madeWith.deviceBound !== undefined && `, ${madeWith.deviceBound ? words.deviceBound : words.synced}`}
              </span>
            )}
          </li>
        ))}
      </ul>
      <h2>{words.whatHappened}</h2>
      <ol className="steps">
        {entries.map((entry) => (
          <Entry key={entry.sequence} entry={entry} />
        ))}
      </ol>
      <Download name={`${run}.jsonl`} text={answer.text} />
      <Command text={answer.command} />
    </>
  );
}

function Sentences({ of }: { of: readonly string[] }): ReactNode {
  if (of.length === 0) return null;
  return (
    <ul className="sums">
      {of.map((sentence) => (
        <li key={sentence}>
          <Told>{sentence}</Told>
        </li>
      ))}
    </ul>
  );
}

function Entry({ entry: { sequence, at, kind, body } }: { entry: EvidenceEntry }): ReactNode {
  const words = useWords();
  const who = [body.person, body.requester, body.step, body.hold].filter((text) => typeof text === 'string');
  return (
    <li>
      <span className="quiet">{sequence}</span> <strong>{kind}</strong>{' '}
      <span>
        <Told>{who.join(' · ')}</Told>
      </span>
      {typeof body.reason === 'string' && body.reason !== '' && (
        <p>
          <Told>{body.reason}</Told>
        </p>
      )}
      <p className="quiet">
        <Time iso={at} />
      </p>
      <details>
        <summary>{words.more}</summary>
        <pre>{valueText(body)}</pre>
      </details>
    </li>
  );
}

/** The record as a file, as `holdpoint evidence verify` takes it. */
function Download({ name, text }: { name: string; text: string }): ReactNode {
  const words = useWords();
  const [address, setAddress] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [text]);
  return (
    <p>
      <a className="button" href={address} download={name}>
        {words.download}
      </a>
    </p>
  );
}
