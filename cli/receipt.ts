import { dirname, join, resolve } from 'node:path';
import { receiptOf, type Receipt } from '../client/receipt.ts';
import type { Signer } from '../client/signing.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import { evidenceDirectoryDefault } from '../runbooks/configuration/places.ts';
import { configurationFile, readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';

/** A signer that remembers what it has signed last. */
export interface RememberingSigner extends Signer {
  last(): { run: string; signature: string } | undefined;
}

/** Remembers what somebody signs, so that the record can be searched for it. */
export function remembering(signer: Signer): RememberingSigner {
  let last: ReturnType<RememberingSigner['last']>;
  return {
    ...signer,
    sign: async (statement) => {
      const signature = await signer.sign(statement);
      last = { run: 'run' in statement ? statement.run : '', signature };
      return signature;
    },
    last: () => last,
  };
}

/**
 * Looks whether what was signed is in the record of the run, and says so where it is not, or cannot be seen: what a run has answered is the
 * word of whoever takes its tasks from the queue.
 */
export async function tellReceipt(terminal: Terminal, signer: RememberingSigner, config?: string): Promise<Receipt> {
  const { run = '', signature = '' } = signer.last() ?? {};
  const receipt = await lookForReceipt(terminal, run, signature, config);
  if (receipt === 'not-recorded') {
    terminal.note(
      `Not verified: what ${signer.person} has signed is not in the record of ${run} (yet). If that does not change, a worker of ` +
        'somebody else has answered: see who polls the queue (`temporal task-queue describe`).',
    );
  } else if (receipt === 'unseen') {
    terminal.note(
      'Not verified: this is what the run says, and its record cannot be read here. ' +
        '`holdpoint evidence verify` proves it where that is kept.',
    );
  }
  return receipt;
}

async function lookForReceipt(terminal: Terminal, run: string, signature: string, config: string | undefined): Promise<Receipt> {
  // What is wrong with a configuration is told by what needs one.
  const configuration = await readConfiguration(terminal, config).catch(() => undefined);
  if (!configuration) return 'unseen';
  const { record, region } = recordOf(run, configurationFile(terminal, config), configuration);
  return receiptOf(record, signature, configuration, region);
}

function recordOf(run: string, file: string, { evidence }: Configuration): { record: string; region?: string } {
  if (evidence === undefined || 'directory' in evidence) {
    return { record: join(resolve(dirname(file), evidence?.directory ?? evidenceDirectoryDefault), run) };
  }
  const { bucket, prefix, region } = evidence.s3;
  return { record: ['s3:/', bucket, ...(prefix === undefined ? [] : [prefix]), run].join('/'), region };
}
