import { bytesOfKey, keysOf, stateOfKey, type KeyTypeName, type PeopleKeys, type PersonKey } from '../domain/approval/keys.ts';
import { isPersonId } from '../domain/approval/statement.ts';
import { sshLineOf } from '../domain/approval/sshsig.ts';
import { base64urlOf } from '../domain/base64.ts';
import { HoldpointError } from '../domain/errors.ts';
import { KeyError } from './signing.ts';

/** Something that has SSH keys: an agent, a file. */
export interface KeySource {
  /** In a sentence: `the SSH agent`. */
  name: string;
  /** Its Ed25519 keys, 32 bytes each. */
  keys: readonly Uint8Array[];
  /** The types of keys that it can sign as; the first is taken where no configuration says which. */
  types: readonly [KeyTypeName, ...KeyTypeName[]];
}

/**
 * Says who signs, with which of the keys at hand, and as which type. Whose a key is, `people` say, and of which type; without them it is
 * the only one there is.
 *
 * @throws KeyError where there is no such key, or it is not good now; HoldpointError `person-unnamed` where it could be several people.
 */
export function chooseKey(
  source: KeySource,
  person: string | undefined,
  people: PeopleKeys | undefined,
): { person: string; key: PersonKey } {
  const signer = person ?? ownerOf(source, people);
  if (!isPersonId(signer)) {
    throw new KeyError(`${JSON.stringify(signer)} cannot be the id of a person.`, 'Give the id that holdpoint.yaml has of you.');
  }
  const known = keysOf(people && Object.hasOwn(people, signer) ? people[signer] : undefined);
  return { person: signer, key: known.length > 0 ? knownKey(source, signer, known) : onlyKey(source, signer) };
}

function ownerOf(source: KeySource, people: PeopleKeys = {}): string {
  const owners = Object.keys(people).filter((person) => keysOf(people[person]).some((key) => has(source, key)));
  const [only, second] = owners;
  if (only === undefined) {
    throw new KeyError(
      `No key of ${source.name} is known to belong to anybody.`,
      'Say who you are with --as NAME, or have what `holdpoint keys enrol NAME` prints added to holdpoint.yaml.',
    );
  }
  if (second === undefined) return only;
  throw new HoldpointError('person-unnamed', { cause: `${source.name} has keys of ${owners.join(', ')}` });
}

function knownKey(source: KeySource, person: string, known: readonly PersonKey[]): PersonKey {
  const here = known.filter((key) => has(source, key));
  const usable = here.filter(({ type }) => source.types.includes(type));
  const good = usable.find((key) => stateOfKey(key, Date.now()) === 'good');
  if (good) return good;
  const [unfit] = usable;
  if (unfit) {
    const { from, until, revoked } = unfit;
    const why = { early: `counts from ${from} on`, over: `counted until ${until}`, revoked: `is revoked since ${revoked}`, good: '' };
    throw new KeyError(
      `The key of ${person} in ${source.name} ${why[stateOfKey(unfit, Date.now())]}, as holdpoint.yaml says.`,
      'Sign with another key; `holdpoint keys list --people` shows which ones count.',
    );
  }
  if (here.length > 0) {
    const types = here.map(({ type }) => type).join(', ');
    throw new KeyError(
      `The key of ${person} in ${source.name} is in holdpoint.yaml with the type ${types}, and cannot sign as that from there.`,
      `Sign with --signer ssh-agent, or have it added with the type ${source.types.join(' or ')}.`,
    );
  }
  throw new KeyError(
    `${capital(source.name)} does not have the key that holdpoint.yaml names for ${person}.`,
    'Add it with `ssh-add`, or have what `holdpoint keys enrol` prints added to holdpoint.yaml.',
  );
}

function onlyKey({ name, keys, types: [type] }: KeySource, person: string): PersonKey {
  const [only, second] = keys;
  if (only !== undefined && second === undefined) return { type, key: type === 'ssh' ? sshLineOf(only) : base64urlOf(only) };
  throw new KeyError(
    `${capital(name)} has ${keys.length} Ed25519 keys, and nothing says which one is that of ${person}.`,
    `Work where holdpoint.yaml is, or name it in HOLDPOINT_CONFIG, with a key of ${person} in it.`,
  );
}

function has({ keys }: KeySource, key: PersonKey): boolean {
  const bytes = bytesOfKey(key);
  const text = bytes && base64urlOf(bytes);
  return keys.some((one) => base64urlOf(one) === text);
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
