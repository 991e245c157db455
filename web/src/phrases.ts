/**
 * What the page says, in the language of the person: the one that was chosen, or the first of the browser's that is there.
 *
 * English comes with the page, other languages when they are wanted, before anything is built; so a change of language
 * loads the page again. Messages of the server come from there, in English.
 */

import { EN } from "./text/en";
import type { Forms, Translation } from "./text/translation";

/** The languages, as they call themselves. */
export const LANGUAGES = { en: "English", de: "Deutsch", ar: "العربية" } as const;
export type Language = keyof typeof LANGUAGES;
const FROM_RIGHT: readonly Language[] = ["ar"];

const OTHERS: Readonly<Record<Exclude<Language, "en">, () => Promise<Translation>>> = {
  de: async () => (await import("./text/de")).DE,
  ar: async () => (await import("./text/ar")).AR,
};
const KEY = "segmend"; // in localStorage, with the other preferences

/** Return the language to speak: a chosen one, else the first that the browser asks for, else English. */
export function languageFor(chosen: unknown, asked: readonly string[]): Language {
  const known = (tag: unknown): Language | undefined =>
    (Object.keys(LANGUAGES) as Language[]).find(
      (one) => typeof tag === "string" && tag.toLowerCase().split("-")[0] === one,
    );
  return known(chosen) ?? asked.map(known).find((one) => one !== undefined) ?? "en";
}

/** Return the language that was chosen; undefined for the browser's. */
export function chosenLanguage(): unknown {
  try {
    return (JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>).language;
  } catch {
    return undefined; // no storage, or not ours
  }
}

const wanted = typeof document === "undefined" ? [] : navigator.languages; // tests without a page read English
export const language = languageFor(chosenLanguage(), wanted);
export const direction = FROM_RIGHT.includes(language) ? "rtl" : "ltr";
const LOCALE = language === "ar" ? "ar-u-nu-latn" : language; // digits as in the pictures and in the files
const POINT = new Intl.NumberFormat(LOCALE).formatToParts(0.5).find(({ type }) => type === "decimal")?.value ?? ".";

export const phrases = (language === "en" ? EN : await OTHERS[language]()) as typeof EN;

/** Return what a label is called until somebody names it; it is stored, so nothing is put round the number. */
export function objectName(value: number): string {
  return filled(phrases.common.object, { n: value }, "ltr");
}

/** Return what a kind of prompt, or a tool, is called; one that came later keeps its own name. */
export function nameOfPrompt(kind: string): string {
  const names: Readonly<Record<string, string>> = phrases.prompts;
  return names[kind] ?? kind;
}

/** The names of what is put into a phrase. */
type NamesIn<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | NamesIn<Rest> : never;
type Values<Name extends string> = Readonly<Record<Name, string | number>>;

/** Return a phrase with what is put into it. */
export function fill<T extends string>(phrase: T, values: Values<NamesIn<T>>): string {
  return filled(phrase, values, direction);
}

/** Return the form of a phrase that goes with a number, which is `{n}` in it. */
export function plural<T extends { readonly other: string }>(
  forms: T,
  n: number,
  ...values: Exclude<NamesIn<T["other"]>, "n"> extends never ? [] : [Values<Exclude<NamesIn<T["other"]>, "n">>]
): string {
  const { other, ...some }: Forms = forms;
  const form =
    (some as Partial<Record<Intl.LDMLPluralRule, string>>)[new Intl.PluralRules(language).select(n)] ?? other;
  return filled(form, { ...values[0], n: amount(n) }, direction);
}

/** Return a whole number as it is written; where a comma is the decimal point, spaces part thousands, so that no point does. */
export function amount(n: number): string {
  const written = n.toLocaleString(LOCALE);
  return POINT === "." ? written : written.replaceAll(".", "\u202f");
}

/** Return digits with the decimal point of the language. */
export function decimal(digits: string): string {
  return digits.replace(".", POINT);
}

/** Put values into a phrase. */
export function filled(phrase: string, values: Values<string>, way: "ltr" | "rtl"): string {
  return phrase.replace(/\{(\w+)\}/g, (_, name: string) => isolated(decimalOf(values[name]), way));
}

function decimalOf(value: string | number): string {
  return typeof value === "number" ? decimal(String(value)) : value;
}

/** Return a name or a row of numbers so that it keeps its own direction among words from the right (Unicode's isolates). */
export function isolated(value: string, way = direction): string {
  return way === "rtl" ? `\u2068${value}\u2069` : value;
}
