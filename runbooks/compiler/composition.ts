import { posix } from 'node:path';
import { ownValue } from '../../domain/map.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { SourceMap } from '../grammar/document.ts';
import { compositionBytesMax, nestingMax, stepsMax } from '../grammar/runbook.ts';
import { nameUnknown, shippedRunbooks } from '../library.ts';
import type { DocumentOutline } from './outline.ts';
import { firstProblems, type Problem, type ValuePath } from '../grammar/problem.ts';
import { fileOfKey, isPath, keyOfReference, type NestedDocument, type NestedDocuments } from './reference.ts';

/** Compiles one document of a composition under its key; puts it into `outlines` before it looks at the runbooks below. */
export type CompileDocument = (document: NestedDocument, key: string, composition: Composition) => DocumentOutline;

/** A runbook that is compiled with all that it carries out: each document once, however many steps name it. */
export class Composition {
  /** Policies are checked only where it is given. */
  readonly configuration: Configuration | undefined;
  private readonly documents: NestedDocuments;
  private readonly compile: CompileDocument;
  private readonly outlines = new Map<string, DocumentOutline>();
  /** Keys of the documents that are being compiled, from the one that is started to the innermost. */
  private readonly open: string[] = [];

  constructor(documents: NestedDocuments, configuration: Configuration | undefined, compile: CompileDocument) {
    this.documents = documents;
    this.configuration = configuration;
    this.compile = compile;
  }

  /** Compiles the document of a key, unless that has been done. */
  outlineOf(document: NestedDocument, key: string): DocumentOutline {
    const known = this.outlines.get(key);
    if (known !== undefined) return known;
    this.open.push(key);
    try {
      return this.compile(document, key, this);
    } finally {
      this.open.pop();
    }
  }

  /** Notes a document as soon as its problems can be told: those of the one that is started come first. */
  note(key: string, outline: DocumentOutline): void {
    this.outlines.set(key, outline);
  }

  /** Every problem of every document. */
  problems(): Problem[] {
    return firstProblems([...this.outlines.values()].flatMap(({ sourceMap }) => sourceMap.problems()));
  }

  /** What a step of the document under compilation carries out. Reports at `path` why there is no such runbook, or may not be. */
  nested(reference: string, sourceMap: SourceMap, path: ValuePath): DocumentOutline | undefined {
    const from = this.open.at(-1)!;
    const key = keyOfReference(reference, from);
    if (key === undefined) {
      sourceMap.error(path, 'A runbook that comes with Holdpoint carries out others by their names only.');
      return undefined;
    }
    if (this.open.includes(key)) {
      sourceMap.error(path, `Goes in a circle: ${[...this.open.slice(this.open.indexOf(key)), key].join(' → ')}.`);
      return undefined;
    }
    // Deeper ones are not sent along.
    if (this.open.length > nestingMax) return this.refuseDepth(this.open.length, sourceMap, path);
    const document = ownValue(this.documents, key);
    if (document === undefined) {
      sourceMap.error(path, this.missing(reference, key, sourceMap.file));
      return undefined;
    }
    const outline = this.outlineOf(document, key);
    const height = this.open.length + outline.height;
    return height > nestingMax ? this.refuseDepth(height, sourceMap, path) : outline;
  }

  private missing(reference: string, key: string, file: string): string {
    if (isPath(reference)) {
      const path = fileOfKey(`./${reference}`, file);
      return `The file "${path}" cannot be read; a path is relative to the folder of the file that it stands in.`;
    }
    if (!shippedRunbooks().includes(key)) return nameUnknown(reference);
    return `The text of the runbook "${reference}" did not come with this one; whoever sends a runbook sends all that it carries out.`;
  }

  private refuseDepth(height: number, sourceMap: SourceMap, path: ValuePath): undefined {
    const started = posix.basename(this.open[0]!);
    sourceMap.error(path, `Runbooks stand ${height} deep inside of one another below ${started}; at most ${nestingMax} may.`);
    return undefined;
  }
}

/** Adds up what the steps of a document carry out, and reports at the step where that becomes too much. */
export function addUp(document: DocumentOutline): void {
  const { sourceMap, steps } = document;
  document.stepCount += steps.length;
  document.hasHold = steps.some(({ kind, nested }) => kind === 'hold' || nested?.hasHold === true);
  for (const [index, { nested }] of steps.entries()) {
    if (nested === undefined) continue;
    document.height = Math.max(document.height, nested.height + 1);
    document.stepCount += nested.stepCount;
    document.bytes += nested.bytes;
    const problem = sizeProblem(document);
    if (problem === undefined) continue;
    sourceMap.error(['steps', index, 'runbook'], problem);
    // Without these, no more steps are looked at than a sound runbook may have.
    for (const step of steps.slice(index)) step.nested = undefined;
    return;
  }
}

function sizeProblem({ stepCount, bytes }: DocumentOutline): string | undefined {
  if (stepCount > stepsMax) return `With those of this runbook there are ${stepCount} steps together; at most ${stepsMax} are allowed.`;
  if (bytes <= compositionBytesMax) return undefined;
  return `With this runbook all documents have ${bytes} bytes together; at most ${compositionBytesMax} are allowed.`;
}
