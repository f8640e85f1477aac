import type * as ByHand from '../activities/kubernetes/drain/by-hand.ts';
import { HoldpointError, type ErrorCode } from '../domain/errors.ts';
import { optionOfSetting } from './action-options.ts';
import { UsageError } from './errors.ts';

/** The registry speaks of the worker; here it is the user's own machine and rights that are in question. */
const remedies: Partial<Record<ErrorCode, string>> = {
  'kubernetes-unreachable': 'Check the server of the kubeconfig, and that it can be reached from this machine; then try again.',
  'kubernetes-denied': 'Log in again, or name a context with --context whose user may list nodes, pods, budgets and workloads.',
  'aws-credentials-missing': 'Log in to AWS (`aws sso login`, or AWS_PROFILE), then try again.',
  'aws-denied': 'Log in again, or use a profile that may read EKS and describe subnets and launch templates of EC2.',
  'target-not-configured': 'Add it to `clusters` in holdpoint.yaml, or name a kubeconfig with --kubeconfig or --context.',
  'kubernetes-refused': 'Read the reason, and check that the kubeconfig leads to a Kubernetes API.',
};

/** Does something by hand, with the user's own kubeconfig; errors say what that user can do. */
export async function byHand<Result>(work: (module: typeof ByHand) => Promise<Result>): Promise<Result> {
  // The Kubernetes client takes a while to load, and the help is asked for without it.
  const module = await import('../activities/kubernetes/drain/by-hand.ts');
  return byOwnRights(async () => {
    try {
      return await work(module);
    } catch (error) {
      if (!(error instanceof HoldpointError) || error.code !== 'action-input-invalid') throw error;
      throw new UsageError(inputProblems(error), '`holdpoint drain --help` shows what there is.');
    }
  });
}

/** Does something with the user's own rights; errors say what that user can do. */
export async function byOwnRights<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    const remedy = remedies[error.code];
    throw remedy === undefined ? error : new HoldpointError(error.code, error.details, { cause: error, remedy });
  }
}

/** The rules of the input name settings as runbooks have them: here they were options. */
function inputProblems({ details }: HoldpointError): string {
  const problems = String(details.cause).replace(
    /(^|; )(\w+): /g,
    (_whole, before: string, name: string) => `${before}${optionOfSetting(name, 'true')} `,
  );
  return `${problems}.`;
}
