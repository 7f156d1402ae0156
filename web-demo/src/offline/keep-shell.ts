/** Has a service worker keep the built app, so that a reload needs no network; says when a newer one is waiting. */

const UPDATE_MS = 3_600_000;

/** Registers the service worker, in production builds and where the browser has them. */
export function keepShell(onUpdate: (reload: () => void) => void): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  let isReloading = false;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (isReloading) location.reload();
  });
  const offer = (waiting: ServiceWorker): void =>
    onUpdate(() => {
      isReloading = true;
      waiting.postMessage("take over");
    });
  void navigator.serviceWorker.register("./sw.js", { updateViaCache: "none" }).then(
    (registration: ServiceWorkerRegistration | undefined) => {
      // Browsers that forbid service workers may answer with nothing.
      if (!registration) return;
      // A tab may stay open for days; a look now and then is all it takes.
      setInterval(() => void registration.update().catch(() => undefined), UPDATE_MS);
      if (registration.waiting && navigator.serviceWorker.controller) offer(registration.waiting);
      registration.addEventListener("updatefound", () => {
        const installing = registration.installing;
        installing?.addEventListener("statechange", () => {
          // Without a controller this is the first visit: there is nothing older to replace.
          if (installing.state === "installed" && navigator.serviceWorker.controller) offer(installing);
        });
      });
    },
    (error: unknown) => console.warn("the app itself is not kept for visits without a network:", error),
  );
}
