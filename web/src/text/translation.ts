/** What a text in another language needs to hold: all that the English one says. */

import type { EN } from "./en";

/** A phrase for each kind of number that a language knows (CLDR). */
export type Forms = Readonly<Partial<Record<Intl.LDMLPluralRule, string>>> & { readonly other: string };
/** The same text in another language. */
export type Translation<T = typeof EN> = {
  readonly [K in keyof T]: T[K] extends string
    ? string
    : T[K] extends { readonly other: string }
      ? Forms
      : Translation<T[K]>;
};
