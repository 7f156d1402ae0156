/**
 * Whether this browser held notes before. Browsers clear what pages store, when room gets short or after weeks without a visit; a word that
 * outlives that lets the page say so, and offer a way back, instead of greeting someone as a stranger.
 */

const KEY = "driftline-notes:held";
/** Cookies are cleared by other rules than files and databases, and belong to all ports of a host. */
const COOKIE = `driftline-notes-held-${globalThis.location?.port ?? ""}`;
const COOKIE_SECONDS = 400 * 86_400;

/** Notes are kept here. */
export function markHeld(storage: Storage | null): void {
  try {
    if (storage?.getItem(KEY) === "yes") return;
    storage?.setItem(KEY, "yes");
  } catch {
    // The cookie may still do.
  }
  document.cookie = `${COOKIE}=yes; max-age=${COOKIE_SECONDS}; samesite=strict; path=${location.pathname}`;
}

/** Whether notes were kept here. */
export function wasHeld(storage: Storage | null): boolean {
  try {
    if (storage?.getItem(KEY) === "yes") return true;
  } catch {
    // The cookie may still know.
  }
  return document.cookie.split("; ").includes(`${COOKIE}=yes`);
}

/** Someone begins anew: what was is not asked about again. */
export function forgetHeld(storage: Storage | null): void {
  try {
    storage?.removeItem(KEY);
  } catch {
    // It was not there, then.
  }
  document.cookie = `${COOKIE}=; max-age=0; path=${location.pathname}`;
}
