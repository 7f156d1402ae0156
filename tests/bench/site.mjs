// Serves Driftline's npm package to a browser without a bundler: its folder, what it imports, and one empty page.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const WASM = fileURLToPath(new URL("../../wasm", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
/** What the package imports by name, and where that lies: workers have no import maps. */
const NAMED = {
  "@noble/hashes/sha2.js": "/node_modules/@noble/hashes/sha2.js",
  "@scure/base": "/node_modules/@scure/base/index.js",
};

/** A server on a free port of this machine; the package is `/dist/index.js`, the page `/`. */
export async function serveSite() {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    try {
      const bytes = path === "/" ? "<!doctype html><title>driftline</title>" : await readFile(join(WASM, path));
      const isScript = extname(path) === ".js";
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" });
      response.end(isScript ? bytes.toString().replace(/(from ")([^".][^"]*)(")/g, (whole, from, name, end) => `${from}${NAMED[name] ?? name}${end}`) : bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://localhost:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) };
}
