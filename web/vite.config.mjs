// How the UI is built: one small entry, the charts in a chunk of their own,
// and a gzip twin beside every file worth compressing, so that the hub
// never compresses on the way out.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

const WORTH_COMPRESSING = /\.(html|js|css|svg|json|txt)$/;

/** Writes `name.gz` beside each text asset after the bundle is on disk. */
function gzipTwins() {
  let outDir = "dist";
  return {
    name: "gzip-twins",
    apply: "build",
    configResolved(config) {
      outDir = config.build.outDir;
    },
    async closeBundle() {
      const entries = await readdir(outDir, { recursive: true, withFileTypes: true });
      for (const entry of entries) {
        if (!entry.isFile() || !WORTH_COMPRESSING.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const plain = await readFile(path);
        const packed = gzipSync(plain, { level: 9 });
        if (packed.length < plain.length) await writeFile(`${path}.gz`, packed);
      }
    },
  };
}

export default defineConfig({
  plugins: [solid(), gzipTwins()],
  build: {
    target: "es2022",
    // `light-dark()` needs no lowering in any browser since 2024.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    cssCodeSplit: true,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
  },
  // `npm run dev` beside a running hub: the pages from here, the API from there.
  server: { proxy: { "/api": { target: process.env.NIGHTBELL_HUB ?? "http://127.0.0.1:8787", ws: true } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
