/** A value of an answer; a list says what its members are called. Undefined is left out. */
export type XmlValue = string | number | boolean | Date | undefined | XmlList | XmlStructure;

export interface XmlStructure {
  [name: string]: XmlValue;
}

export class XmlList {
  readonly member: string;
  readonly items: readonly XmlValue[];

  constructor(member: string, items: readonly XmlValue[]) {
    this.member = member;
    this.items = items;
  }
}

/** An element with whatever is in it, as the Query protocol writes it. */
export function element(name: string, value: XmlValue): string {
  if (value === undefined) return '';
  return `<${name}>${contents(value)}</${name}>`;
}

/** A text as it may stand in an element. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function contents(value: Exclude<XmlValue, undefined>): string {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof XmlList) return value.items.map((item) => element(value.member, item)).join('');
  if (typeof value !== 'object') return escapeXml(String(value));
  return Object.entries(value)
    .map(([name, inner]) => element(name, inner))
    .join('');
}
