/** Where a worker can be killed around a step, in their order: the entries of the record and the two sides of `perform`. */
export const bordersOfStep = ['step.started', 'before it is performed', 'performed', 'step.done'] as const;
/** Within a step, after its first act. */
export const inTheMiddle = 'act 1';

/** The entries right after which a worker can be killed, each with the field that says what it is about, or with what it is about. */
export const killingEntries: Readonly<Record<string, { field: string } | { subject: string }>> = {
  'step.started': { field: 'step' },
  'step.done': { field: 'step' },
  'hold.requested': { field: 'hold' },
  'undo.started': { subject: 'undo' },
  'run.ended': { subject: 'run' },
};

/** Every place where the worker of a run can be killed, as a line of the file in which workers note where they died. */
export function placesOf(steps: readonly { id: string; changes: boolean }[], holds: readonly string[]): string[] {
  return [
    ...steps.flatMap(({ id, changes }) => [...bordersOfStep, ...(changes ? [inTheMiddle] : [])].map((border) => `${id}: ${border}`)),
    ...holds.map((hold) => `${hold}: hold.requested`),
    'run: run.ended',
  ];
}
