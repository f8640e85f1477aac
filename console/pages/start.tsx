import { useState, type FormEvent, type ReactNode } from 'react';
import { Link } from 'wouter';
import type { ForecastAnswer, Me, Problem, RunbookAnswer, RunbooksAnswer, StartAnswer } from '../../api/schema/answers.ts';
import type { JsonObject } from '../../domain/json.ts';
import { useWords } from '../language.ts';
import { Command, ProblemBox, Title, Told, useRead } from '../parts/parts.tsx';
import { Basis, Effects, Risks, Sums } from '../parts/plan.tsx';
import { InputField, valuesOf, type Schema } from '../parts/input-field.tsx';
import { SignBox } from '../parts/sign-box.tsx';
import { ProblemError, send } from '../requests.ts';

/** The runbooks that can be started. */
export function RunbooksPage(): ReactNode {
  const words = useWords();
  const { answer, problem, reload } = useRead<RunbooksAnswer>('/runbooks');
  return (
    <article>
      <Title tab={words.start}>{words.start}</Title>
      {problem && <ProblemBox problem={problem} onAgain={reload} />}
      {!answer && !problem && <p>{words.loading}</p>}
      <ul className="cards">
        {answer?.runbooks.map(({ name, title, worksOn }) => (
          <li key={name} className="box run">
            <Link href={`/start/${name}`}>{name}</Link>
            <span className="quiet">{worksOn.join(', ')}</span>
            <span>
              <Told>{title}</Told>
            </span>
          </li>
        ))}
      </ul>
      <Command text="holdpoint runbooks" />
    </article>
  );
}

/** Starts a runbook: its inputs, then what it would do, read afresh, then the signature under exactly that. */
export function StartPage({ me, runbook }: { me: Me; runbook: string }): ReactNode {
  const words = useWords();
  const { answer, problem, reload } = useRead<RunbookAnswer>(`/runbooks/${encodeURIComponent(runbook)}`);
  if (!answer) return problem ? <ProblemBox problem={problem} onAgain={reload} /> : <p>{words.loading}</p>;
  return (
    <article>
      <Title tab={answer.title}>
        <Told>{answer.title}</Told>
      </Title>
      <p className="quiet">
        {answer.name} · <Told>{answer.target}</Told>
      </p>
      {me.roles.includes('operator') ? <Form me={me} runbook={answer} /> : <p className="box">{words.notAnOperator}</p>}
      <details>
        <summary>{words.document}</summary>
        <pre>
          <Told>{answer.text}</Told>
        </pre>
      </details>
      <Command text={answer.command} />
    </article>
  );
}

type Asked = { at: 'asking' } | { at: 'refused'; problem: Problem } | { at: 'read'; inputs: JsonObject; answer: ForecastAnswer };

function Form({ me, runbook }: { me: Me; runbook: RunbookAnswer }): ReactNode {
  const words = useWords();
  const schema = runbook.inputs as { properties?: Record<string, Schema>; required?: string[] };
  const fields = Object.entries(schema.properties ?? {});
  const needed = new Set(schema.required);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const [asked, setAsked] = useState<Asked>();
  const set = (name: string, text: string): void => {
    setTexts((before) => ({ ...before, [name]: text }));
    // What was read is of other inputs.
    setAsked(undefined);
  };
  const ask = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const inputs = valuesOf(schema.properties ?? {}, texts);
    setAsked({ at: 'asking' });
    try {
      setAsked({ at: 'read', inputs, answer: await send<ForecastAnswer>('/forecasts', { runbook: runbook.name, inputs }) });
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      setAsked({ at: 'refused', problem: error.problem });
    }
  };
  const shown = (isNeeded: boolean): ReactNode =>
    fields
      .filter(([name]) => needed.has(name) === isNeeded)
      .map(([name, of]) => <InputField key={name} name={name} schema={of} text={texts[name] ?? ''} onText={(text) => set(name, text)} />);
  const missing = [...needed].some((name) => (texts[name] ?? '').trim() === '');
  return (
    <>
      <form onSubmit={(event) => void ask(event)}>
        {shown(true)}
        {fields.length > needed.size && (
          <details>
            <summary>
              {words.furtherInputs} ({fields.length - needed.size})
            </summary>
            {shown(false)}
          </details>
        )}
        <p>
          <button type="submit" className="main" disabled={missing || asked?.at === 'asking'}>
            {words.forecast}
          </button>
        </p>
      </form>
      <div aria-live="polite">
        {asked?.at === 'asking' && <p>{words.reading}</p>}
        {asked?.at === 'refused' && <ProblemBox problem={asked.problem} />}
      </div>
      {asked?.at === 'read' && <Shown key={asked.answer.run} me={me} runbook={runbook.name} inputs={asked.inputs} answer={asked.answer} />}
    </>
  );
}

function Shown(props: { me: Me; runbook: string; inputs: JsonObject; answer: ForecastAnswer }): ReactNode {
  const { me, runbook, inputs, answer } = props;
  const words = useWords();
  const { forecast, run } = answer;
  const blockers = forecast.spans.flatMap(({ plan }) => plan.steps.flatMap(({ plan: { blockers: of } }) => of));
  return (
    <>
      {blockers.length > 0 && (
        <section className="box bad">
          <p className="strong">{words.blocked(blockers.length)}</p>
          {blockers.map(({ object, reason, remedy }, place) => (
            <p key={place}>
              <strong>
                <Told>{object}</Told>
              </strong>
              : <Told>{reason}</Told> {words.whatToDo}: <Told>{remedy}</Told>
            </p>
          ))}
        </section>
      )}
      {forecast.spans.map(({ hold, plan }, place) => (
        <section key={place} className="box consequence">
          <h2>{hold ? words.afterHold(hold.id, hold.policy) : words.atOnce}</h2>
          <Sums plan={plan} summaries={[]} />
          {plan.steps.every(({ plan: { effects } }) => effects.length === 0) && <p>{words.itDoes(0, 0)}</p>}
          <Risks plan={plan} summaries={[]} />
          <details>
            <summary>{words.effects}</summary>
            <Effects plan={plan} summaries={[]} />
          </details>
          <Basis plan={plan} />
        </section>
      ))}
      <SignBox<'start', StartAnswer>
        me={me}
        path="/runs"
        beside={{ runbook, inputs }}
        needsReason="none"
        choices={[
          {
            name: 'start',
            label: words.startIt,
            look: 'main',
            said: () => ({ kind: 'start', run, forecast }),
            locked: blockers.some(({ ofInputs }) => ofInputs === true) ? words.blocked(blockers.length) : undefined,
          },
        ]}
        ledTo={({ admission }) => <Admitted run={run} admission={admission} />}
      />
    </>
  );
}

/** What a worker has said to a start. */
function Admitted({ run, admission }: { run: string; admission: StartAnswer['admission'] }): ReactNode {
  const words = useWords();
  if (admission.admitted) {
    return (
      <>
        {words.started} <Link href={`/runs/${run}`}>{run}</Link>
      </>
    );
  }
  return (
    <>
      {words.refused}: <Told>{`${admission.reason} ${admission.remedy}`}</Told>
    </>
  );
}
