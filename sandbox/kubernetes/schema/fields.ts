/** A field of a message. */
export interface Field {
  /** Its number in protobuf. */
  number: number;
  type: FieldType;
  /** The key by which a strategic merge patch merges the items of the list, '' for plain values; undefined where it replaces the list. */
  mergeKey?: string;
}

export interface FieldType {
  shape: 'single' | 'list' | 'map';
  /** Whether nothing and the zero value are told apart. */
  optional: boolean;
  /** A plain type (`string`, `int32`, `Quantity` …) or the name of a message. */
  name: string;
}

/** The fields of a message by their names in JSON. What is `inline` stands in JSON among the fields of the message itself. */
export interface Message {
  fields: ReadonlyMap<string, Field>;
  inlined: readonly Field[];
}

/** What `fields.json` holds: the messages of kinds, and the fields of messages. */
interface Table {
  kinds: Record<string, string>;
  messages: Record<string, Record<string, string>>;
}

/** What Kubernetes says of the kinds that the sandbox serves (`lab/kubernetes/fields` writes it down from the types in Go). */
export class Schema {
  private readonly table: Table;
  private readonly read = new Map<string, Message>();

  constructor(table: Table) {
    this.table = table;
  }

  /** The name of the message of a kind; undefined for kinds of which nothing is known. */
  messageOfKind(kind: string): string | undefined {
    return this.table.kinds[kind];
  }

  /** The message of a name; undefined for a plain type. */
  message(name: string): Message | undefined {
    const known = this.read.get(name);
    const texts = this.table.messages[name];
    if (known || !texts) return known;
    const fields = new Map<string, Field>();
    const inlined: Field[] = [];
    for (const [key, text] of Object.entries(texts)) {
      if (key.startsWith('inline ')) inlined.push(parseField(text));
      else fields.set(key, parseField(text));
    }
    const message = { fields, inlined };
    this.read.set(name, message);
    return message;
  }

  /** All fields that an object has in JSON, those of inlined messages among them. */
  fieldsInJson(name: string): Map<string, Field> {
    const message = this.message(name);
    const all = new Map(message?.fields ?? []);
    for (const { type } of message?.inlined ?? []) for (const [key, field] of this.fieldsInJson(type.name)) all.set(key, field);
    return all;
  }
}

function parseField(text: string): Field {
  const [number = '', typeText = '', , key] = text.split(' ');
  const mergeKey = key === 'value' ? '' : key;
  return { number: Number(number), type: parseType(typeText), ...(key === undefined ? {} : { mergeKey }) };
}

function parseType(text: string): FieldType {
  const shape = text.startsWith('[]') ? 'list' : text.startsWith('{}') ? 'map' : 'single';
  const rest = shape === 'single' ? text : text.slice(2);
  return { shape, optional: rest.startsWith('*'), name: rest.replace('*', '') };
}

let loaded: Promise<Schema> | undefined;

/** The schema; read when the first client asks for something that needs it. */
export function loadSchema(): Promise<Schema> {
  loaded ??= import('./fields.json', { with: { type: 'json' } }).then((module) => new Schema(module.default as Table));
  return loaded;
}
