/** Whether someone chose to work offline: a choice that a reload must not undo behind their back. */

const KEY = "driftline-notes:offline";

/** The choice of the last visit. */
export function loadOfflineChoice(storage: Storage | null): boolean {
  try {
    return storage?.getItem(KEY) === "yes";
  } catch {
    return false;
  }
}

/** Keeps the choice for the next visit. */
export function saveOfflineChoice(storage: Storage | null, isOffline: boolean): void {
  try {
    if (isOffline) storage?.setItem(KEY, "yes");
    else storage?.removeItem(KEY);
  } catch {
    // The choice lasts as long as the page.
  }
}
