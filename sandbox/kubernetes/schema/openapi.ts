import { apiVersionOf } from '../resources.ts';
import type { ResourceDefinition } from '../resources.ts';
import type { Field, FieldType, Schema } from './fields.ts';

/** Where the document of a group and version is, below the address of the cluster. */
export const openapiPath = '/openapi/v3';

/** The list of the documents that there are (OpenAPI v3). `basePath` is the path of the cluster's address. */
export function openapiIndex(definitions: readonly ResourceDefinition[], basePath: string): object {
  const places = new Set(definitions.map(placeOf));
  const paths = [...places].map((place): [string, object] => [place, { serverRelativeURL: `${basePath}${openapiPath}/${place}?hash=1` }]);
  return { paths: Object.fromEntries(paths) };
}

function placeOf(definition: ResourceDefinition): string {
  return `${definition.group === '' ? 'api' : 'apis'}/${apiVersionOf(definition)}`;
}

/** The document of a group and version such as `apis/apps/v1`; undefined where nothing is served there. */
export function openapiDocument(schema: Schema, definitions: readonly ResourceDefinition[], place: string): object | undefined {
  const served = definitions.filter((definition) => placeOf(definition) === place);
  if (served.length === 0) return undefined;
  const schemas: Record<string, object> = {};
  for (const definition of served) {
    const message = schema.messageOfKind(definition.kind);
    if (message === undefined) continue;
    describe(schema, message, schemas);
    const { group, version, kind } = definition;
    Object.assign(schemas[schemaName(message)] ?? {}, { 'x-kubernetes-group-version-kind': [{ group, version, kind }] });
  }
  const paths = Object.fromEntries(served.map((definition) => [pathOf(definition), operationsOf(schema, definition)]));
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: 'sandbox' }, paths, components: { schemas } };
}

function pathOf(definition: ResourceDefinition): string {
  return `/${placeOf(definition)}/${definition.namespaced ? 'namespaces/{namespace}/' : ''}${definition.resource}/{name}`;
}

const patchTypes = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

function operationsOf(schema: Schema, { group, version, kind }: ResourceDefinition): object {
  const query = (name: string): object => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });
  const message = schema.messageOfKind(kind);
  const of = message === undefined ? {} : { schema: { $ref: `#/components/schemas/${schemaName(message)}` } };
  const responses = { 200: { description: 'OK', content: { 'application/json': of } } };
  const traits = { 'x-kubernetes-group-version-kind': { group, version, kind }, responses };
  return {
    get: { ...traits, 'x-kubernetes-action': 'get' },
    patch: {
      ...traits,
      'x-kubernetes-action': 'patch',
      parameters: ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map(query),
      requestBody: { content: Object.fromEntries(patchTypes.map((type) => [type, { schema: { type: 'object' } }])) },
    },
  };
}

/** `core.v1.Pod` is called `io.k8s.api.core.v1.Pod`. */
function schemaName(message: string): string {
  if (message.startsWith('meta.')) return `io.k8s.apimachinery.pkg.apis.${message}`;
  if (message.startsWith('apiextensions.')) return `io.k8s.apiextensions-apiserver.pkg.apis.${message}`;
  if (message.startsWith('apiregistration.')) return `io.k8s.kube-aggregator.pkg.apis.${message}`;
  return `io.k8s.api.${message}`;
}

function describe(schema: Schema, message: string, schemas: Record<string, object>): void {
  const name = schemaName(message);
  if (schemas[name]) return;
  const properties: Record<string, object> = {};
  schemas[name] = { type: 'object', properties };
  // Only what is sent or kept whole has a kind of its own; all others are parts.
  if (schema.fieldsInJson(message).get('metadata')?.type.name === 'meta.v1.ObjectMeta') {
    properties.apiVersion = { type: 'string' };
    properties.kind = { type: 'string' };
  }
  for (const [key, field] of schema.fieldsInJson(message)) properties[key] = property(schema, field, schemas);
}

function property(schema: Schema, { type, mergeKey }: Field, schemas: Record<string, object>): object {
  const single = singleSchema(schema, type, schemas);
  if (type.shape === 'map') return { type: 'object', additionalProperties: single };
  if (type.shape === 'single') return '$ref' in single ? { allOf: [single], default: {} } : single;
  const list = { type: 'array', items: single };
  if (mergeKey === undefined) return { ...list, 'x-kubernetes-list-type': 'atomic' };
  const merged = { ...list, 'x-kubernetes-patch-strategy': 'merge' };
  return mergeKey === '' ? merged : { ...merged, 'x-kubernetes-patch-merge-key': mergeKey };
}

const plainSchemas: Readonly<Record<string, object>> = {
  string: { type: 'string' },
  bytes: { type: 'string', format: 'byte' },
  bool: { type: 'boolean' },
  double: { type: 'number', format: 'double' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  IntOrString: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  Quantity: { type: 'string' },
  Duration: { type: 'string' },
  Time: { type: 'string', format: 'date-time' },
  MicroTime: { type: 'string', format: 'date-time' },
};

function singleSchema(schema: Schema, { name }: FieldType, schemas: Record<string, object>): object {
  const plain = plainSchemas[name];
  if (plain) return plain;
  if (!schema.message(name)) return { type: 'object' };
  describe(schema, name, schemas);
  return { $ref: `#/components/schemas/${schemaName(name)}` };
}
