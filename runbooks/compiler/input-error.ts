import type { ErrorObject } from 'ajv';
import type { Json } from '../../domain/json.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { typeWords } from '../grammar/shape.ts';

/** Where in a value the thing is that is wrong, or that is not there but has to be. */
export function pathOfError(error: ErrorObject, value: Json): ValuePath {
  const { missingProperty, additionalProperty } = error.params as { missingProperty?: string; additionalProperty?: string };
  const name = error.keyword === 'required' ? missingProperty : error.keyword === 'additionalProperties' ? additionalProperty : undefined;
  const path = pathOfInstance(error, value);
  return name === undefined ? path : [...path, name];
}

/** What is wrong, in words. `names` are those of all inputs, for one that is unknown. */
export function messageOfError(error: ErrorObject, names: string[]): string {
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'required':
      return 'Is missing.';
    case 'additionalProperties': {
      const known = error.instancePath === '' ? names : [];
      const among = known.length === 0 ? '' : ` There are: ${known.join(', ')}.`;
      return `There is no such input.${didYouMean(String(params.additionalProperty), known)}${among}`;
    }
    case 'type':
      return `Must be ${[params.type]
        .flat()
        .map((type) => typeWords(String(type)))
        .join(' or ')}.`;
    case 'enum':
      return `Must be one of ${(params.allowedValues as Json[]).map((value) => JSON.stringify(value)).join(', ')}.`;
    default: {
      const message = error.message ?? 'is not valid';
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
    }
  }
}

/** Where in a value the part is that was judged: a JSON pointer (RFC 6901), in which a part is an index only where there is a list. */
export function pathOfInstance({ instancePath }: ErrorObject, value: Json): ValuePath {
  let around: Json | undefined = value;
  return instancePath
    .split('/')
    .slice(1)
    .map((part) => {
      const key = Array.isArray(around) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~');
      around = (around as Record<string | number, Json> | null | undefined)?.[key];
      return key;
    });
}
