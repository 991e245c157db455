import { afterEach, describe, expect, it, vi } from "vitest";

/** The page's words as a browser of that language has them. */
async function speaking(language: string) {
  vi.resetModules();
  vi.stubGlobal("document", {});
  vi.stubGlobal("navigator", { languages: [language] });
  return {
    ...(await import("../src/phrases")),
    ...(await import("../src/words")),
    ...(await import("../src/shortcut")),
  };
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

describe("numbers", () => {
  it("have one decimal point in a language, and nothing that looks like it parts thousands", async () => {
    const english = await speaking("en");
    expect([english.amount(17720), english.short(15.62), english.fixed(0.836, 2)]).toEqual(["17,720", "15.6", "0.84"]);

    const german = await speaking("de-AT");
    expect([german.amount(17720), german.amount(2058)]).toEqual(["17\u202f720", "2\u202f058"]);
    expect([german.short(15.62), german.fixed(0.836, 2), german.significant(1.2e-9, 3)]).toEqual([
      "15,6",
      "0,84",
      "1,2e-9",
    ]);
    expect(german.fill(german.phrases.reach.nearSaid, { mm: 1.5 })).toContain("1,5 mm");
    expect(german.sidesOf([-12.34, 5, 0])).toBe("L 12,3  A 5,0  S 0,0 mm");

    const arabic = await speaking("ar");
    expect([arabic.amount(17720), arabic.fixed(0.836, 2)]).toEqual(["17,720", "0.84"]);
  });
});

it("calls keys as the keyboards of a language do", async () => {
  expect((await speaking("de")).keyNames("Ctrl+Shift+Z, Shift+1–7, Enter")).toBe(
    "Strg+Umschalt+Z, Umschalt+1–7, Eingabe",
  );
  expect((await speaking("en")).keyNames("Ctrl+Shift+Z")).toBe("Ctrl+Shift+Z");
});
