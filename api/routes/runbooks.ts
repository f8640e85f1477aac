import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { newRunId } from '../../client/run-id.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { CompiledRunbook, RunbookDocument } from '../../domain/runbook.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { formatProblem } from '../../runbooks/grammar/problem.ts';
import { readRunbook, shippedRunbooks } from '../../runbooks/library.ts';
import { identityOfCaller } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { forecastAnswer, runbook, runbooks } from '../schema/answers.ts';
import { forecastBody, runbookParams } from '../schema/requests.ts';

/** The runbooks that come with Holdpoint, and what they would do. A document of one's own is given to the command line. */
export function runbookRoutes({ holdpoint, readConfiguration, limits, nowMs }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/runbooks',
      { config: { access: 'viewer' }, schema: { summary: 'The runbooks that can be started', response: { 200: runbooks } } },
      async () => ({
        runbooks: shippedRunbooks().flatMap((name) => {
          const { text, file, runbooks: nested } = readRunbook(name);
          const { runbook: compiled } = compileRunbook(text, file, undefined, nested);
          return compiled ? [{ name, title: compiled.title, worksOn: compiled.worksOn }] : [];
        }),
      }),
    );
    app.get(
      '/runbooks/:runbook',
      { config: { access: 'viewer' }, schema: { summary: 'One of them', params: runbookParams, response: { 200: runbook } } },
      async ({ params }) => {
        const { document, compiled } = loadRunbook(params.runbook, await readConfiguration());
        const { title, digest, target, worksOn, window, inputs, steps } = compiled;
        const command = `holdpoint runbooks ${params.runbook}`;
        const shown = { title, digest, target, worksOn, ...(window !== undefined && { window }), inputs, text: document.text, command };
        return { name: params.runbook, ...shown, steps: steps as unknown as JsonObject[] };
      },
    );
    app.post(
      '/forecasts',
      {
        config: { access: 'operator' },
        schema: { summary: 'What a runbook would do, read afresh by a worker', body: forecastBody, response: { 200: forecastAnswer } },
      },
      async (request) => {
        limits.countWrite(identityOfCaller(request).name);
        const { runbook: name, inputs } = request.body;
        const { document, compiled } = loadRunbook(name, await readConfiguration());
        const given = checkedInputs(document, compiled, inputs as JsonObject);
        return { forecast: await holdpoint.plan(document, given), run: newRunId(new Date(nowMs())), command: `holdpoint plan ${name}` };
      },
    );
  };
}

/** A runbook by its name, checked. Throws `runbook-unknown`, `runbook-invalid`. */
export function loadRunbook(name: string, configuration: Configuration): { document: RunbookDocument; compiled: CompiledRunbook } {
  const document = readRunbook(name);
  const { runbook: compiled, problems } = compileRunbook(document.text, document.file, configuration, document.runbooks);
  if (compiled) return { document, compiled };
  throw new HoldpointError('runbook-invalid', { file: document.file, cause: problems.map(formatProblem).join('; ') });
}

/** The inputs with their defaults. Throws `inputs-invalid` with every problem and its path. */
export function checkedInputs({ file }: RunbookDocument, compiled: CompiledRunbook, given: JsonObject): JsonObject {
  const { inputs, problems } = checkInputs(compiled, given);
  if (problems.length === 0) return inputs;
  const cause = problems.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ');
  throw new HoldpointError('inputs-invalid', { file, runbook: compiled.name, cause });
}
