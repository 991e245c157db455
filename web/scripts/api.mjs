/**
 * Write src/schema.d.ts from the server's own OpenAPI document: `npm run api`, with Segmend installed in
 * the Python that runs (name another one in PYTHON). `npm run api -- --check` only says whether it is up to date.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const ASK = `
import json, pathlib, tempfile
from segmend.server.app import create_app
from segmend.server.settings import ServerSettings
with tempfile.TemporaryDirectory() as folder:
    app = create_app(ServerSettings(pathlib.Path(folder)))
    print(json.dumps(app.openapi()))
    app.state.shared.sessions.close()
    app.state.shared.store.close()
`;
const target = new URL("../src/schema.d.ts", import.meta.url);
const python = process.env.PYTHON ?? "python3";
const document = JSON.parse(execFileSync(python, ["-c", ASK], { encoding: "utf8", maxBuffer: 1 << 26 }));
const tree = await openapiTS(document, { immutable: true, arrayLength: true, alphabetize: true });
const triples = astToString(tree).replace(/\[\s*number,\s*number,\s*number\s*\]/g, "Triple");
const text = `// Made by \`npm run api\` from the server's OpenAPI document; do not edit.

export type Triple = readonly [number, number, number];

${triples}`;

if (!process.argv.includes("--check")) {
  writeFileSync(target, text);
} else if (readFileSync(target, "utf8") !== text) {
  console.error("src/schema.d.ts is not what the server says; run npm run api.");
  process.exitCode = 1;
}
