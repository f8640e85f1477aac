const opening = Buffer.from('"managedFields":[');
/** That a pod was made with the name of its node is all that lists are asked of it: see `ignoredCordon` in drain/view.ts. */
const nodeName = Buffer.from('"f:nodeName"');
const madeWithNode = Buffer.from('{"fieldsV1":{"f:spec":{"f:nodeName":{}}}}');
/** API servers write `managedFields` last in the metadata, so that it mostly ends here, which is found much faster than by brackets. */
const usualEnd = Buffer.from(']},"spec":{');
/** No key of `managedFields` is that: where it comes before the usual end, that belongs to another object. */
const otherObject = Buffer.from('"metadata":{');
const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * The JSON of an answer without the `managedFields` of its objects, but for `spec.nodeName`. They are half of each pod, no
 * request can leave them out, and to read them takes longer than all the rest. Of what is no JSON nothing is said: whoever
 * reads the answer finds out.
 */
export function withoutManagedFields(json: Buffer): Buffer {
  const kept: Buffer[] = [];
  let from = 0;
  for (let at = json.indexOf(opening); at >= 0; at = json.indexOf(opening, at)) {
    const first = at + opening.length;
    // Within a text a quote would have a backslash before it, so this is a key.
    const end = json[at - 1] === backslash ? -1 : (usualEndOfList(json, first) ?? endOfList(json, first));
    if (end < 0) {
      at = first;
      continue;
    }
    kept.push(json.subarray(from, first));
    if (json.subarray(first, end).includes(nodeName)) kept.push(madeWithNode);
    from = end;
    at = end;
  }
  return kept.length === 0 ? json : Buffer.concat([...kept, json.subarray(from)]);
}

/** The same as endOfList for the list of an object that is written as API servers do; undefined where that is not sure. */
function usualEndOfList(json: Buffer, from: number): number | undefined {
  const end = json.indexOf(usualEnd, from);
  return end < 0 || json.subarray(from, end).includes(otherObject) ? undefined : end;
}

/** The place of the bracket that closes a list whose items begin here; -1 where there is none. */
function endOfList(json: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === quote) {
      at = endOfText(json, at + 1);
    } else if (byte === openBracket) {
      depth += 1;
    } else if (byte === closeBracket) {
      if (depth === 0) return at;
      depth -= 1;
    }
  }
  return -1;
}

/** The place of the quote that closes a text. */
function endOfText(json: Buffer, from: number): number {
  for (let at = from; at < json.length; at += 1) {
    if (json[at] === backslash) at += 1;
    else if (json[at] === quote) return at;
  }
  return json.length;
}
