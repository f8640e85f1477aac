import { createContext, useContext } from 'react';
import { en, type Words } from './words/en.ts';
import { ko } from './words/ko.ts';

/** The languages of the console, each by its own name. */
export const languages = { en: { name: 'English', words: en as Words }, ko: { name: '한국어', words: ko } } as const;
export type Language = keyof typeof languages;

/** What the person has chosen on the page "me", for all pages. */
export interface Settings {
  language: Language;
  /** A zone of IANA; that of the device where it is left out. */
  zone?: string;
}

const settingsKey = 'holdpoint.settings';

/** What was chosen in this browser, else what the browser prefers. */
export function readSettings(): Settings {
  const preferred: Language = navigator.languages.some((tag) => tag.toLowerCase().startsWith('ko')) ? 'ko' : 'en';
  try {
    const kept = JSON.parse(localStorage.getItem(settingsKey) ?? '{}') as Partial<Settings>;
    const language = kept.language !== undefined && kept.language in languages ? kept.language : preferred;
    return { language, ...(isZone(kept.zone) && { zone: kept.zone }) };
  } catch {
    return { language: preferred };
  }
}

/** Keeps what was chosen, where the browser lets it. */
export function keepSettings(settings: Settings): void {
  try {
    localStorage.setItem(settingsKey, JSON.stringify(settings));
  } catch {
    // It then counts until the page is left.
  }
}

function isZone(zone: unknown): zone is string {
  if (typeof zone !== 'string') return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) instanceof Intl.DateTimeFormat;
  } catch {
    return false;
  }
}

export const SettingsContext = createContext<Settings>({ language: 'en' });

/** The texts in the language of the person. */
export function useWords(): Words {
  return languages[useContext(SettingsContext).language].words;
}

/** How times are written. */
export interface Times {
  time: (iso: string) => string;
  utc: (iso: string) => string;
  clock: (atMs: number) => string;
  span: (ms: number) => string;
}

/** Writes times in the zone of the person, and says which one that is. */
export function useTimes(): Times {
  const { language, zone } = useContext(SettingsContext);
  const locale = language === 'ko' ? 'ko-KR' : 'en-GB';
  const day = { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hour12: false } as const;
  const write = (at: number, options: Intl.DateTimeFormatOptions): string =>
    new Intl.DateTimeFormat(locale, { timeZone: zone, timeZoneName: 'short', ...options }).format(at);
  return {
    time: (iso) => write(Date.parse(iso), day),
    utc: (iso) => write(Date.parse(iso), { ...day, timeZone: 'UTC' }),
    clock: (atMs) => write(atMs, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }),
    span: (ms) => spanOf(ms, language),
  };
}

const units = { en: [' d', ' h', ' min', ' s'], ko: ['일', '시간', '분', '초'] } as const;

/** A length of time by its two largest units. */
function spanOf(ms: number, language: Language): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const parts = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const first = Math.max(
    0,
    parts.findIndex((part) => part > 0),
  );
  const begin = parts.every((part) => part === 0) ? 3 : first;
  return parts
    .map((part, place) => `${part}${units[language][place]}`)
    .slice(begin, begin + 2)
    .join(' ');
}
