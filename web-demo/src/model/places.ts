/** Where one is and has been: the notebook and note in the address, and the notebooks this browser knows. */

/** What the part of the address after `#` says: a notebook, and perhaps a note in it. */
export interface Place {
  notebook: string;
  note: string | null;
}

/** A notebook that was open here before. */
export interface Recent {
  notebook: string;
  name: string;
  opened: number;
}

const KEY = "driftline-notes:recent";
const RECENT_MAX = 30;
const RELAYS_KEY = "driftline-notes:relays";
const RELAYS_MAX = 8;

/** The place that a fragment such as `#space/document` names, or nothing where it names none. */
export function parsePlace(fragment: string): Place | null {
  const [notebook, note] = fragment.replace(/^#/, "").split("/").map(decode);
  return notebook ? { notebook, note: note ? note : null } : null;
}

/** The fragment that names a place. */
export function placeFragment(place: Place): string {
  const parts = place.note === null ? [place.notebook] : [place.notebook, place.note];
  return `#${parts.map(encodeURIComponent).join("/")}`;
}

/** The link to give away: this page's address, with the relay it was told to use and nothing else, and the place. */
export function shareLink(place: Place, address: URL): string {
  const link = new URL(address.pathname, address.origin);
  const relay = address.searchParams.get("relay");
  if (relay !== null) link.searchParams.set("relay", relay);
  link.hash = placeFragment(place);
  return link.href;
}

/** The address of this app, with the relay it was told to use: what a link to join is made of. */
export function appAddress(address: URL): string {
  const link = new URL(shareLink({ notebook: "", note: null }, address));
  link.hash = "";
  return link.href;
}

/** A place that someone typed or pasted: a whole link, or a notebook's id or name. */
export function placeFrom(text: string): Place | null {
  const trimmed = text.trim();
  const hash = trimmed.indexOf("#");
  if (hash >= 0) return parsePlace(trimmed.slice(hash));
  if (trimmed === "" || trimmed.includes("/") || trimmed.length > 200) return null;
  return { notebook: trimmed, note: null };
}

/** The relay to sync through: the one named by `?relay=`, or else the one that served this page. */
export function relayEndpoint(address: URL): string {
  const named = address.searchParams.get("relay");
  if (named !== null && /^wss?:\/\//.test(named)) return named;
  return `${address.protocol === "https:" ? "wss:" : "ws:"}//${address.host}/sync`;
}

/** Relays that links named, beside the page's own: those who joined by them would not find their notebooks otherwise. */
export function loadFurtherRelays(storage: Storage | null): string[] {
  try {
    const saved: unknown = JSON.parse(storage?.getItem(RELAYS_KEY) ?? "[]");
    return Array.isArray(saved) ? saved.filter((relay): relay is string => typeof relay === "string" && /^wss?:\/\//.test(relay)).slice(0, RELAYS_MAX) : [];
  } catch {
    return [];
  }
}

/** Keeps them for the next visit. */
export function saveFurtherRelays(storage: Storage | null, relays: readonly string[]): void {
  try {
    storage?.setItem(RELAYS_KEY, JSON.stringify([...new Set([...relays, ...loadFurtherRelays(storage)])].slice(0, RELAYS_MAX)));
  } catch {
    // No room, or not allowed: they last as long as the page.
  }
}

/** The notebooks that were open here before, the newest first. */
export function loadRecent(storage: Storage | null): Recent[] {
  try {
    const saved: unknown = JSON.parse(storage?.getItem(KEY) ?? "[]");
    if (!Array.isArray(saved)) return [];
    return saved
      .filter((entry): entry is Recent => typeof entry?.notebook === "string" && typeof entry.name === "string" && typeof entry.opened === "number")
      .sort((a, b) => b.opened - a.opened)
      .slice(0, RECENT_MAX);
  } catch {
    return [];
  }
}

/** Puts a notebook at the head of the recent ones, or renames it there. */
export function saveRecent(storage: Storage | null, recent: Recent): void {
  write(storage, [recent, ...loadRecent(storage).filter((other) => other.notebook !== recent.notebook)]);
}

/** Takes a notebook off the list; what is stored of it stays. */
export function forgetRecent(storage: Storage | null, notebook: string): void {
  write(storage, loadRecent(storage).filter((other) => other.notebook !== notebook));
}

function write(storage: Storage | null, recents: Recent[]): void {
  try {
    storage?.setItem(KEY, JSON.stringify(recents.slice(0, RECENT_MAX)));
  } catch {
    // No room, or not allowed: the link in the address still leads back.
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
