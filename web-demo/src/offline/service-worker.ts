/**
 * Keeps the built app for visits without a network. It knows nothing of notes: those are the engine's.
 *
 * The build writes the list of files in. A version is one cache, filled whole or not at all, and never changed: a page
 * always gets the files it was built with. The version before is kept too, because tabs that still run it may yet ask for its
 * files; it takes the place of an older one when the next takes over.
 */

declare const self: ServiceWorkerGlobalScope;
/** Put in by the build: a hash over all files, and the files, relative to this one. */
declare const __SHELL__: { version: string; files: string[] };

const PREFIX = "driftline-notes-shell-";
const { version, files } = __SHELL__;
const cacheName = `${PREFIX}${version}`;
const base = new URL("./", self.location.href);
const isShellFile = new Set(files.map((file) => new URL(file, base).pathname));

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(cacheName);
      await cache.addAll(files.map((file) => new Request(new URL(file, base), { cache: "reload" })));
      await cache.put("installed-at", new Response(String(Date.now())));
      // On a first visit nothing older is running.
      if (self.registration.active === null) await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== cacheName);
      const aged = await Promise.all(others.map(async (name) => ({ name, at: await installedAt(name) })));
      aged.sort((a, b) => b.at - a.at);
      await Promise.all(aged.slice(1).map(({ name }) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") event.waitUntil(self.skipWaiting());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin || !address.pathname.startsWith(base.pathname)) return;
  if (request.mode === "navigate" && (address.pathname === base.pathname || address.pathname === `${base.pathname}index.html`)) {
    event.respondWith(serve(base.href, request));
  } else if (isShellFile.has(address.pathname) || address.pathname.startsWith(`${base.pathname}assets/`)) {
    event.respondWith(serve(address.href, request));
  }
});

/** From this version's cache, then from an older one's, then from the network. Names of assets carry their hash. */
async function serve(address: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const kept = (await cache.match(address, { ignoreSearch: true, ignoreVary: true })) ?? (await caches.match(address, { ignoreVary: true }));
  return kept ?? fetch(request);
}

async function installedAt(name: string): Promise<number> {
  const stamp = await (await caches.open(name)).match("installed-at");
  return stamp ? Number(await stamp.text()) : 0;
}

export {};
