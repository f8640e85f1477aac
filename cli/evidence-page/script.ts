import { parseJson } from '../../domain/json.ts';
import { visible } from '../../domain/visible.ts';
import type { PageData } from './data.ts';
import { makerIn, type PageDocument } from './elements.ts';
import { dataElement, pageElement } from './ids.ts';
import { verifyPage } from './verify-page.ts';
import { recordView } from './view.ts';

declare const document: PageDocument;

/** What the browser runs: reads the data of the page, verifies it, and shows what it found. */
async function main(): Promise<void> {
  const make = makerIn(document);
  const page = document.getElementById(pageElement);
  if (!page) return;
  try {
    const data = parseJson(document.getElementById(dataElement)?.textContent ?? '') as PageData;
    document.title = `Record of ${visible(data.run)}`;
    const shown = recordView(data, await verifyPage(data), make);
    page.textContent = '';
    page.append(...shown);
  } catch (error) {
    // Whoever has changed the data so that they cannot be read must not be taken for nobody.
    const verdict = make('p', `✗ BROKEN: the data of this page cannot be read, so somebody has changed them (${String(error)}).`);
    verdict.className = 'verdict broken';
    page.textContent = '';
    page.append(verdict);
  }
}

void main();
