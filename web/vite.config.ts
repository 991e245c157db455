import { defineConfig } from "vite";

/** The bundle goes into the Python package, which serves it; addresses in it are relative. */
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/segmend/web",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 2500, // NiiVue, which is loaded only when a volume is shown in 3D
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8765", ws: true } } },
});
