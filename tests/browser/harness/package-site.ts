/** The npm package as a page without a bundler loads it: its folder, what it imports, and one page with nothing on it. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import type { TestContext } from "node:test";

/** The package, seen from `tests/browser`, where the tests run. */
const PACKAGE = resolve(process.cwd(), "../../wasm");
const TYPES: Readonly<Record<string, string>> = { ".js": "text/javascript", ".wasm": "application/wasm" };
/** What the package imports by name, and where that lies: workers have no import maps. */
const NAMED: Readonly<Record<string, string>> = {
  "@noble/hashes/sha2.js": "/node_modules/@noble/hashes/sha2.js",
  "@scure/base": "/node_modules/@scure/base/index.js",
};

/** One page, with what the package exports as `driftline`. */
const PAGE = `<!doctype html><title>driftline</title>
<script type="module">import * as driftline from "/dist/index.js"; globalThis.driftline = driftline;</script>`;

/** Serves it for the length of a test, and answers the page's address. */
export async function packageSite(test: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const serve = async (): Promise<void> => {
      if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
      const [bytes, kind] = [await readFile(join(PACKAGE, path)), extname(path)];
      response.writeHead(200, { "content-type": TYPES[kind] ?? "text/plain" });
      response.end(kind === ".js" ? bytes.toString().replace(/(from ")([^".][^"]*)(")/g, (_, from, name, end) => `${from}${NAMED[name] ?? name}${end}`) : bytes);
    };
    void serve().catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  test.after(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return `http://localhost:${address.port}/`;
}
