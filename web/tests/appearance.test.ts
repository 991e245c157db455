import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { coloursFor, isTurned } from "../src/appearance";
import { checked } from "../src/preferences";

const CSS = readFileSync(new URL("../src/themes.css", import.meta.url), "utf-8");

describe("the page's colours", () => {
  it("are the system's until somebody chooses", () => {
    expect(coloursFor("system", { light: false, contrast: false })).toBe("dark");
    expect(coloursFor("system", { light: true, contrast: false })).toBe("light");
    expect(coloursFor("system", { light: true, contrast: true })).toBe("contrast");
    expect(coloursFor("dark", { light: true, contrast: true })).toBe("dark");
  });

  it("are remembered with the side of the panel, and nothing else is", () => {
    expect(checked({ theme: "light", panel: "left" })).toEqual({ theme: "light", panel: "left" });
    expect(checked({ theme: "sepia", panel: "top" })).toEqual({});
  });

  it("show texts 4.5 : 1 and the edges of controls 3 : 1, on all that they lie on", () => {
    for (const colours of ["dark", "light", "contrast"]) {
      const of = tokens(colours);
      for (const ground of ["ground", "base", "raised", "lifted"]) {
        for (const text of ["text", "soft", "faint", "accent", "danger", "warn"]) {
          expect(ratio(of[text], of[ground]), `${text} on ${ground}, ${colours}`).toBeGreaterThanOrEqual(4.5);
        }
        expect(ratio(of.edge, of[ground]), `edge on ${ground}, ${colours}`).toBeGreaterThanOrEqual(3);
      }
      for (const text of ["text", "soft", "accent"]) {
        expect(ratio(of[text], of["accent-deep"]), `${text}, chosen, ${colours}`).toBeGreaterThanOrEqual(4.5);
      }
      expect(ratio(of["on-accent"], of.accent)).toBeGreaterThanOrEqual(4.5);
      expect(ratio(of["on-danger"], of.danger)).toBeGreaterThanOrEqual(4.5);
      expect(ratio(of["note-text"], of.note)).toBeGreaterThanOrEqual(4.5);
    }
  });
});

describe("the panel", () => {
  it("comes last as one reads, or first where it is asked for on the other side", () => {
    expect([isTurned("right", "ltr"), isTurned("left", "ltr")]).toEqual([false, true]);
    expect([isTurned("right", "rtl"), isTurned("left", "rtl")]).toEqual([true, false]);
  });
});

/** Return the colours of a theme by their names, `#rrggbb`. */
function tokens(theme: string): Record<string, string> {
  const start = theme === "dark" ? CSS.indexOf(":root") : CSS.indexOf(`:root[data-theme="${theme}"]`);
  const block = CSS.slice(start, CSS.indexOf("}", start));
  const found = [...block.matchAll(/--([\w-]+): #([0-9a-f]{3,6});/g)];
  return Object.fromEntries(found.map(([, name, hex]) => [name, hex.length === 3 ? hex.replace(/./g, "$&$&") : hex]));
}

function ratio(one: string, other: string): number {
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

/** Return the relative luminance of WCAG. */
function light(hex: string): number {
  const [r, g, b] = [0, 2, 4].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
