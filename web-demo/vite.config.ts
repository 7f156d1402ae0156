import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Writes the list of built files into the service worker, and a version made of all of their contents. */
function shellList(): Plugin {
  return {
    name: "shell-list",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      const hash = createHash("sha256");
      const files: string[] = [];
      // Only the letters of western Europe are kept for visits without a network; other subsets of the fonts come when they are needed.
      const isKept = (name: string): boolean => name !== "sw.js" && !name.endsWith(".map") && !(name.endsWith(".woff2") && !/-latin(-ext)?-wght/.test(name));
      for (const [name, file] of Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1))) {
        hash.update(name).update(file.type === "chunk" ? file.code : file.source);
        if (isKept(name)) files.push(name === "index.html" ? "./" : name);
      }
      for (const name of readdirSync(here("public")).sort()) {
        hash.update(name).update(readFileSync(here(`public/${name}`)));
        files.push(name);
      }
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") throw new Error("the service worker was not built");
      const shell = JSON.stringify({ version: hash.digest("hex").slice(0, 16), files });
      worker.code = `const __SHELL__ = ${shell};\n${worker.code}`;
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [shellList()],
  build: {
    target: "es2023",
    // The editor with Markdown is 200 kB gzipped; it is needed at once, and kept for offline use whole.
    chunkSizeWarningLimit: 1_000,
    rolldownOptions: {
      input: { main: here("index.html"), sw: here("src/offline/service-worker.ts") },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  worker: { format: "es" },
  server: {
    fs: { allow: [here("."), here("../wasm")] },
    proxy: { "/sync": { target: "ws://127.0.0.1:8080", ws: true } },
  },
});
