import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build, defineConfig, type Plugin } from "vite";

/** The bundle goes into the Python package, which serves it; addresses in it are relative. */
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/segmend/web",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 2500, // NiiVue, which is loaded only when a volume is shown in 3D
  },
  plugins: [notices(), extension()],
  server: { proxy: { "/api": { target: "http://127.0.0.1:8765", ws: true, headers: authorization() } } },
});

/** Bundle the extension of OHIF as one file with a name that stays: pages of other servers name it. */
function extension(): Plugin {
  return {
    name: "extension",
    apply: "build",
    async generateBundle() {
      const made = await build({
        configFile: false,
        logLevel: "warn",
        build: {
          write: false,
          target: "es2022",
          modulePreload: false,
          rollupOptions: {
            input: "src/ohif/main.ts",
            preserveEntrySignatures: "strict",
            output: { inlineDynamicImports: true },
          },
        },
      });
      const [output] = Array.isArray(made) ? made : "output" in made ? [made] : [];
      const [{ code }] = output.output;
      this.emitFile({ type: "asset", fileName: "ohif/segmend.js", source: code });
    },
  };
}

/** A page of another port needs the server's token: SEGMEND_TOKEN, the same for both. */
function authorization(): Record<string, string> {
  const token = process.env.SEGMEND_TOKEN;
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** Put the licence texts of all packages in the bundle, and of all that these need, into THIRD_PARTY.txt. */
function notices(): Plugin {
  return {
    name: "notices",
    apply: "build",
    generateBundle() {
      const names = new Set(["vite", ...runtimePackages()]); // Vite adds helpers of its own to the bundle
      for (const id of this.getModuleIds()) {
        const bundled = /.*[/\\]node_modules[/\\]((?:@[^/\\]+[/\\])?[^/\\]+)/.exec(id);
        if (bundled !== null) names.add(bundled[1].replace("\\", "/"));
      }
      const source = ["Segmend's annotator contains these packages.\n", ...[...names].sort().map(notice)].join("\n");
      this.emitFile({ type: "asset", fileName: "THIRD_PARTY.txt", source });
    },
  };
}

function runtimePackages(): string[] {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf-8")) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  const needed = Object.entries(packages).filter(([path, one]) => path !== "" && !one.dev && !one.optional);
  return needed.map(([path]) => path.split("node_modules/").at(-1)!);
}

/** Return one package's section. Its text comes from notices/ where the package brings none, or not all of it. */
function notice(name: string): string {
  const folder = join("node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf-8")) as Record<
    string,
    string
  >;
  const ours = join("notices", `${name.replace("/", "--")}.txt`);
  const theirs = readdirSync(folder).find((file) => /^(licen[cs]e|copying)/i.test(file));
  if (!existsSync(ours) && theirs === undefined) throw new Error(`${name} brings no licence text; add ${ours}`);
  const text = readFileSync(existsSync(ours) ? ours : join(folder, theirs!), "utf-8").trim();
  return `${"-".repeat(80)}\n${name} ${version} (${license})\n\n${text}\n`;
}
