import type { ServerResponse } from 'node:http';

const xmlNamespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** An answer that S3 gives instead of the one that was asked for. */
export class S3Refusal extends Error {
  override readonly name = 'S3Refusal';
  readonly status: number;
  readonly code: string;
  /** Further elements of the error document, e.g. `Token-0`. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** An element with text or with elements inside; text is escaped. */
export function element(name: string, content: string | number | boolean | readonly string[]): string {
  return `<${name}>${Array.isArray(content) ? content.join('') : escape(String(content))}</${name}>`;
}

/** Sends an XML document of S3's namespace. */
export function sendXml(response: ServerResponse, root: string, elements: readonly string[]): void {
  send(response, 200, `<${root} xmlns="${xmlNamespace}">${elements.join('')}</${root}>`);
}

/** Sends an error document; none after HEAD, whose answers have no body. */
export function sendRefusal(response: ServerResponse, refusal: S3Refusal): void {
  const fields = Object.entries(refusal.fields).map(([name, value]) => element(name, value));
  const elements = [element('Code', refusal.code), element('Message', refusal.message), ...fields];
  send(response, refusal.status, element('Error', elements));
}

function send(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${xml}`);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
