// How large the engine is when a browser downloads it, and how soon it runs, beside @automerge/automerge.
//
// Sizes are of the module and of the JavaScript around it, as a server sends them (gzip, level 9). Load times are taken in
// Chromium: each in a fresh context without a cache, over loopback, from the page's first line of script until the module
// is compiled, instantiated and initialised; the two take turns. What a network adds is proportional to the sizes.
//
// node wasm-size.mjs RESULT.json [RUNS]

import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { cpus, loadavg, platform, release, totalmem } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");
const automerge = join(here, "node_modules/@automerge/automerge/dist");
const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** What is compared: files that a page downloads, and the script that makes it ready. */
const engines = {
  driftline: {
    files: [join(root, "wasm/pkg/driftline_bg.wasm"), join(root, "wasm/pkg/driftline.js")],
    script: `const { default: init } = await import("/root/wasm/pkg/driftline.js");
             await init({ module_or_path: "/root/wasm/pkg/driftline_bg.wasm" });`,
  },
  automerge: {
    files: [join(automerge, "automerge.wasm"), ...(await scripts(join(automerge, "mjs")))],
    script: `const { initializeWasm } = await import("/automerge/mjs/entrypoints/slim.js");
             await initializeWasm("/automerge/automerge.wasm");`,
  },
};

/** The scripts that the slim entry point of automerge imports, by walking its imports. */
async function scripts(folder, from = "entrypoints/slim.js", found = new Set()) {
  const file = normalize(join(folder, from));
  if (!found.has(file)) {
    found.add(file);
    const text = await readFile(file, "utf8");
    for (const [, path] of text.matchAll(/(?:from|import)\s*["'](\.[^"']+)["']/g)) {
      await scripts(folder, join(from, "..", path), found);
    }
  }
  return [...found];
}

async function sizes(files) {
  let raw = 0;
  let gzipped = 0;
  for (const file of files) {
    const bytes = await readFile(file);
    raw += bytes.length;
    gzipped += gzipSync(bytes, { level: 9 }).length;
  }
  return { raw, gzipped };
}

/** Serves the two packages and one page for each, compressed beforehand as a real server would have them. */
async function serve() {
  const compressed = new Map();
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    const name = path.slice(1).replace(/\.html$/, "");
    try {
      let bytes;
      if (engines[name]) {
        bytes = Buffer.from(`<!doctype html><script type="module">
          const start = performance.now();
          ${engines[name].script}
          document.title = String(performance.now() - start);
        </script>`);
      } else {
        const folder = path.startsWith("/automerge/") ? automerge : root;
        bytes = await readFile(join(folder, normalize(path).replace(/^\/(automerge|root)\//, "")));
      }
      if (!compressed.has(path)) compressed.set(path, gzipSync(bytes, { level: 9 }));
      const body = compressed.get(path);
      response.writeHead(200, {
        "content-type": types[extname(path)] ?? "application/octet-stream",
        "content-encoding": "gzip",
        "content-length": body.length,
        "cache-control": "no-store",
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function load(browser, port, name) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const failed = new Promise((_, reject) => page.once("pageerror", reject));
    failed.catch(() => {});
    await page.goto(`http://127.0.0.1:${port}/${name}.html`);
    await Promise.race([failed, page.waitForFunction(() => document.title !== "", null, { timeout: 30_000 })]);
    return Number(await page.title());
  } finally {
    await context.close();
  }
}

const [result, runs = "15"] = process.argv.slice(2);
const loadBefore = loadavg()[0];
const server = await serve();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
});
const times = Object.fromEntries(Object.keys(engines).map((name) => [name, []]));
try {
  for (const name of Object.keys(engines)) await load(browser, server.address().port, name);
  for (let run = 0; run < Number(runs); run++) {
    for (const name of Object.keys(engines)) times[name].push(await load(browser, server.address().port, name));
  }
} finally {
  await browser.close();
  server.close();
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const kb = (bytes) => (bytes / 1000).toFixed(0);
const figures = {};
for (const [name, engine] of Object.entries(engines)) {
  const [module, scripts] = [await sizes(engine.files.slice(0, 1)), await sizes(engine.files.slice(1))];
  figures[name] = { module, scripts, loadMs: median(times[name]), loadMsMin: Math.min(...times[name]), loadMsMax: Math.max(...times[name]) };
}
const version = JSON.parse(await readFile(join(automerge, "../package.json"), "utf8")).version;
const rows = [
  ["module, KB gzipped", (f) => kb(f.module.gzipped)],
  ["module, KB", (f) => kb(f.module.raw)],
  ["JavaScript around it, KB gzipped", (f) => kb(f.scripts.gzipped)],
  ["load in Chromium, ms (least, most)", (f) => `${f.loadMs.toFixed(0)} (${f.loadMsMin.toFixed(0)}, ${f.loadMsMax.toFixed(0)})`],
];
const columns = ["", "Driftline", "@automerge/automerge"];
const table = rows.map(([name, figure]) => [name, figure(figures.driftline), figure(figures.automerge)]);
const caption = `What a page downloads, and how long it takes until the module is ready: median of ${runs} loads.`;
const line = (cells) => `| ${cells.join(" | ")} |`;
console.log(`\n${caption}\n\n${line(columns)}\n|---|---:|---:|\n${table.map(line).join("\n")}`);
// As driftline-bench reads it: see src/report.rs.
const report = {
  name: "wasm-size",
  date: new Date().toISOString().slice(0, 10),
  machine: {
    processor: cpus()[0]?.model ?? "",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
  },
  load: [loadBefore, loadavg()[0]],
  versions: [`@automerge/automerge ${version}`, `Chromium ${browser.version()}`, `Node ${process.version.slice(1)}`],
  tables: [{ caption, columns, rows: table }],
  plots: [],
  figures: { runs: Number(runs), ...figures },
};
await writeFile(result, JSON.stringify(report, null, 2));
console.log(`\nalso in ${result}`);
