/** The demo as the relay serves it, but for changes: for browsers that lack something, and for versions yet to come. */

import { createServer, type Server } from "node:http";
import type { TestContext } from "node:test";
import type { Relay } from "./relay.ts";

/** Headers that are passed on as they are. */
const HEADERS = ["content-type", "cache-control", "content-security-policy"];

/** Serves it for the length of a test, and answers its address. Syncing is with the relay itself. */
export async function alteredSite(test: TestContext, relay: Relay, alter: (path: string, text: string) => string): Promise<string> {
  const server: Server = createServer((request, response) => {
    void (async () => {
      const original = await fetch(new URL(request.url ?? "/", relay.url));
      for (const name of HEADERS) response.setHeader(name, original.headers.get(name) ?? "");
      const bytes = Buffer.from(await original.arrayBuffer());
      const { pathname } = new URL(request.url ?? "/", relay.url);
      const isText = pathname === "/" || /\.(js|html)$/.test(pathname);
      response.writeHead(original.status).end(isText ? alter(pathname, bytes.toString()) : bytes);
    })().catch(() => response.writeHead(502).end());
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  test.after(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return `http://localhost:${address.port}/?relay=${encodeURIComponent(relay.endpoint)}`;
}
