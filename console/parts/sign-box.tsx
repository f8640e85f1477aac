import { useState, type ReactNode } from 'react';
import { Link } from 'wouter';
import type { Me, Problem } from '../../api/schema/answers.ts';
import type { StatementKind } from '../../domain/approval/statement.ts';
import { useWords } from '../language.ts';
import { CancelledError, passkeysHere, sign, type Said } from '../passkeys.ts';
import { ProblemError, send } from '../requests.ts';
import { ProblemBox } from './parts.tsx';

/** A reason of full length fits a statement in any script. */
const reasonCharactersMax = 1_000;

/** How far signing has come. */
type Stage<Answer> =
  { at: 'asking' } | { at: 'cancelled' } | { at: 'signed' } | { at: 'taken'; answer: Answer } | { at: 'refused'; problem: Problem };

/** Something that can be signed and sent. */
export interface Choice<Kind extends StatementKind> {
  name: string;
  label: string;
  /** What it is used for, for the eye: the one that is expected, or one that ends something. */
  look: 'main' | 'bad' | 'plain';
  /** What is said with a reason; nothing is awaited between the click and the device. */
  said: (reason: string) => Said<Kind>;
  /** Why it cannot be signed now, in a sentence; undefined where it can. */
  locked?: string;
}

/** A reason and the buttons that sign, with the three stages of what comes of it. */
export function SignBox<Kind extends StatementKind, Answer>(props: {
  me: Me;
  path: string;
  choices: readonly Choice<Kind>[];
  /** What is sent beside the statement and its signature. */
  beside?: object;
  /** `none`: its statement has no place for one. */
  needsReason: boolean | 'none';
  ledTo: (answer: Answer) => ReactNode;
}): ReactNode {
  const { me, path, choices, beside, needsReason, ledTo } = props;
  const words = useWords();
  const [reason, setReason] = useState('');
  const [stage, setStage] = useState<Stage<Answer>>();
  const passkeys = passkeysHere(me.keys);
  const { person } = me;
  const isBusy = stage?.at === 'asking' || stage?.at === 'signed' || stage?.at === 'taken';
  const why = [...new Set(choices.flatMap(({ locked }) => (locked === undefined ? [] : [locked])))];
  if (person === null) return <p className="box">{words.notAPerson}</p>;
  if (passkeys.length === 0) {
    return (
      <p className="box">
        {words.noPasskey} <Link href="/me">{words.me}</Link>
      </p>
    );
  }
  const press = async (choice: Choice<Kind>): Promise<void> => {
    setStage({ at: 'asking' });
    try {
      const signed = await sign<Kind>(choice.said(reason.trim()), person, passkeys);
      setStage({ at: 'signed' });
      setStage({ at: 'taken', answer: await send<Answer>(path, { ...beside, ...signed }) });
    } catch (error) {
      if (error instanceof CancelledError) setStage({ at: 'cancelled' });
      else if (error instanceof ProblemError) setStage({ at: 'refused', problem: error.problem });
      else throw error;
    }
  };
  return (
    <div className="sign">
      {needsReason !== 'none' && (
        <label>
          {needsReason ? words.reasonRequired : words.reason}
          <textarea rows={2} maxLength={reasonCharactersMax} value={reason} onChange={({ target }) => setReason(target.value)} />
        </label>
      )}
      <div className="buttons">
        {choices.map((choice) => (
          <button
            key={choice.name}
            type="button"
            className={choice.look}
            disabled={isBusy || choice.locked !== undefined || (needsReason === true && reason.trim() === '')}
            onClick={() => void press(choice)}
          >
            {choice.label}
          </button>
        ))}
      </div>
      {stage === undefined &&
        why.map((sentence) => (
          <p key={sentence} className="locked">
            {words.lockedBecause}: {sentence}
          </p>
        ))}
      <div aria-live="polite">{stage && <Stages stage={stage} ledTo={ledTo} />}</div>
    </div>
  );
}

function Stages<Answer>({ stage, ledTo }: { stage: Stage<Answer>; ledTo: (answer: Answer) => ReactNode }): ReactNode {
  const words = useWords();
  if (stage.at === 'asking') return <p>{words.waitingForKey}</p>;
  if (stage.at === 'cancelled') return <p className="box">{words.cancelled}</p>;
  return (
    <>
      <ol className="stages">
        <li className="reached">{words.stageSigned}</li>
        <li className={stage.at === 'taken' ? 'reached' : ''}>{stage.at === 'refused' ? words.refused : words.stageTaken}</li>
        {stage.at !== 'refused' && (
          <li className={stage.at === 'taken' ? 'reached' : ''}>{stage.at === 'taken' ? ledTo(stage.answer) : words.stageDone}</li>
        )}
      </ol>
      {stage.at === 'refused' && <ProblemBox problem={stage.problem} />}
    </>
  );
}
