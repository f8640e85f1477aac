/** The longest name that any object can have. */
const nameCharactersMax = 253;
/** `..` would climb out of a path, and a slash or a percent sign lead elsewhere (k8s.io/apimachinery, api/validation/path). */
const forbidden = /[/%\p{Cc}]/u;

/** Whether a name can be one part of a path of the API, as every name of an object is. */
export function isPathName(name: unknown): name is string {
  if (typeof name !== 'string' || name === '' || name === '.' || name === '..') return false;
  return name.length <= nameCharactersMax && !forbidden.test(name);
}
