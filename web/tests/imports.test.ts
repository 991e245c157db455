import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "../src");
const IMPORT = /^(?:import|export) (?!type\b)([^;"]*?)from "(\.[^"]+)";/gm;

/** Return the modules that each module needs when it runs; types are not needed then. */
function needs(): Map<string, readonly string[]> {
  const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));
  const nameOf = (file: string): string => file.replace(/\.tsx?$/, "");
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(SOURCE, file), "utf8");
      const found = [...text.matchAll(IMPORT)].filter(([, what]) => {
        const names =
          /\{([^}]*)\}/
            .exec(what)?.[1]
            .split(",")
            .filter((name) => name.trim() !== "") ?? [];
        return names.length === 0 || names.some((name) => !name.trim().startsWith("type "));
      });
      return [nameOf(file), found.map(([, , path]) => relative(SOURCE, join(SOURCE, dirname(file), path)))] as const;
    }),
  );
}

test("no module needs itself through others", () => {
  const modules = needs();
  const seen = new Set<string>();
  const visit = (module: string, way: readonly string[]): void => {
    expect(way, [...way, module].join(" -> ")).not.toContain(module);
    if (seen.has(module)) return;
    for (const next of modules.get(module) ?? []) visit(next, [...way, module]);
    seen.add(module);
  };
  for (const module of modules.keys()) visit(module, []);
  expect(seen.size).toBeGreaterThan(100);
});
