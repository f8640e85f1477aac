import { webcrypto } from 'node:crypto';
import { createContext, runInContext } from 'node:vm';
import type { PageDocument, PageElement } from '../../cli/evidence-page/elements.ts';

const waitedMaxMs = 30_000;

/** An element of a page as the tests see it. */
export class TestElement implements PageElement {
  readonly tag: string;
  className = '';
  readonly children: (TestElement | string)[] = [];

  constructor(tag: string) {
    this.tag = tag;
  }

  get textContent(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join('');
  }

  set textContent(text: string | null) {
    this.children.splice(0, Infinity, ...(text ? [text] : []));
  }

  append(...children: (PageElement | string)[]): void {
    this.children.push(...(children as (TestElement | string)[]));
  }

  /** This and every element below it. */
  all(): TestElement[] {
    return [this, ...this.children.flatMap((child) => (typeof child === 'string' ? [] : child.all()))];
  }
}

/** The parts of a page that was read from its file. */
export function partsOf(html: string): { data: string; script: string; policy: string } {
  const part = (pattern: RegExp): string => pattern.exec(html)?.[1] ?? '';
  return {
    data: part(/<script type="application\/json" id="data">([^]*?)<\/script>/),
    script: part(/<script>([^]*?)<\/script>/),
    policy: part(/http-equiv="Content-Security-Policy" content="([^"]*)"/),
  };
}

/** Runs the script of a page as a browser would, with or without a cryptography of the browser, until it shows what it found. */
export async function openPage(html: string, options: { withCrypto: boolean } = { withCrypto: true }): Promise<TestElement> {
  const { data, script } = partsOf(html);
  const page = new TestElement('main');
  const dataElement = new TestElement('script');
  dataElement.textContent = data;
  const elements: Record<string, TestElement> = { page, data: dataElement };
  const document: PageDocument = {
    title: '',
    getElementById: (id) => elements[id] ?? null,
    createElement: (tag) => new TestElement(tag),
  };
  const context = createContext({ document, TextEncoder, TextDecoder, ...(options.withCrypto && { crypto: webcrypto }) });
  runInContext(script, context);
  const until = Date.now() + waitedMaxMs;
  while (page.children.length === 0) {
    if (Date.now() > until) throw new Error('the page has shown nothing');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return page;
}
