import { describe, expect, it } from "vitest";

import { filled, languageFor, LANGUAGES, plural, phrases } from "../src/phrases";
import type { Forms } from "../src/text/translation";
import { AR } from "../src/text/ar";
import { DE } from "../src/text/de";
import { EN } from "../src/text/en";

const TEXTS = { en: EN, de: DE, ar: AR };

/** Return all phrases by their paths; one with forms for numbers is one of them. */
function leaves(tree: object, path = ""): Map<string, string | Forms> {
  const found = new Map<string, string | Forms>();
  for (const [key, value] of Object.entries(tree) as [string, string | object][]) {
    const at = `${path}.${key}`;
    if (typeof value === "string") found.set(at, value);
    else if ("other" in value) found.set(at, value as Forms);
    else for (const [inner, phrase] of leaves(value, at)) found.set(inner, phrase);
  }
  return found;
}

const namesIn = (phrase: string): string[] => [...phrase.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

describe.each(Object.entries(TEXTS))("the text in %s", (language, text) => {
  const found = leaves(text);

  it("says all that the English one says, and nothing else", () => {
    expect([...found.keys()].sort()).toEqual([...leaves(EN).keys()].sort());
    for (const [at, phrase] of found) {
      for (const one of Object.values(typeof phrase === "string" ? { other: phrase } : phrase)) {
        expect(one.trim(), at).not.toBe("");
      }
    }
  });

  it("has the same things put in", () => {
    for (const [at, english] of leaves(EN)) {
      const phrase = found.get(at)!;
      if (typeof english === "string") expect(namesIn(phrase as string), at).toEqual(namesIn(english));
      else expect(namesIn((phrase as Forms).other), at).toEqual(namesIn(english.other));
    }
  });

  it("has a form for each kind of number, which may leave the number out", () => {
    const kinds = [...new Intl.PluralRules(language).resolvedOptions().pluralCategories].sort();
    for (const [at, phrase] of found) {
      if (typeof phrase === "string") continue;
      expect(Object.keys(phrase).sort(), at).toEqual(kinds);
      for (const form of Object.values(phrase)) {
        expect([...new Set([...namesIn(form), "n"])].sort(), at).toEqual(namesIn(phrase.other));
      }
    }
  });
});

describe("the language", () => {
  it("is the chosen one, else the first of the browser's that is there, else English", () => {
    expect(languageFor("ar", ["de"])).toBe("ar");
    expect(languageFor(undefined, ["fr-FR", "de-AT", "en"])).toBe("de");
    expect(languageFor("tlh", ["fr"])).toBe("en");
    expect(Object.keys(LANGUAGES)).toEqual(Object.keys(TEXTS));
  });
});

describe("a phrase", () => {
  it("is chosen by the number", () => {
    expect([1, 2, 12345].map((n) => plural(phrases.worklist.cases, n))).toEqual(["1 case", "2 cases", "12,345 cases"]);
  });

  it("keeps what is put in apart from words from the right", () => {
    expect(filled("a {x} b", { x: "12 × 13 mm" }, "ltr")).toBe("a 12 × 13 mm b");
    expect(filled("ا {x} ب", { x: "12 × 13 mm" }, "rtl")).toBe("ا \u206812 × 13 mm\u2069 ب");
  });
});
