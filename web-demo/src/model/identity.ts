/** Who one is to others: a name and a colour, kept in this browser. */

/** A person as others see them. */
export interface Identity {
  name: string;
  /** One of {@link COLOURS}. */
  colour: ColourName;
}

/** The colours people come in; `style/tokens.css` gives each a light and a dark shade with enough contrast. */
export const COLOURS = ["kelp", "coral", "iris", "amber", "lagoon", "rose", "moss", "slate"] as const;

/** The name of a colour. */
export type ColourName = (typeof COLOURS)[number];

const NAMES = ["Tern", "Plover", "Otter", "Heron", "Dunlin", "Puffin", "Gannet", "Curlew", "Avocet", "Petrel", "Sandpiper", "Eider"];
const KEY = "driftline-notes:identity";
/** Names longer than this are cut: they are shown beside carets. */
export const NAME_LENGTH_MAX = 32;

/** The colour that `name` names, or one of ours for anything a stranger may have sent. */
export function colourOf(name: unknown): ColourName {
  return COLOURS.find((colour) => colour === name) ?? "slate";
}

/** A name fit to be shown, or `fallback` for anything else. */
export function nameOf(value: unknown, fallback = "Someone"): string {
  if (typeof value !== "string") return fallback;
  const name = value.replace(/\s+/g, " ").trim().slice(0, NAME_LENGTH_MAX);
  return name === "" ? fallback : name;
}

/** Up to two letters for a face without a picture. */
export function initials(name: string): string {
  const words = name.split(" ").filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((word) => [...(word ?? "?")][0]?.toUpperCase() ?? "?").join("");
}

/** This person, from the last visit, or newly made up. */
export function loadIdentity(storage: Storage | null): Identity {
  try {
    const saved: unknown = JSON.parse(storage?.getItem(KEY) ?? "null");
    if (saved !== null && typeof saved === "object" && "name" in saved && "colour" in saved) {
      return { name: nameOf(saved.name), colour: colourOf(saved.colour) };
    }
  } catch {
    // What is stored there is not ours to trust; a new name is made up.
  }
  const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;
  const identity = { name: pick(NAMES), colour: pick(COLOURS.slice(0, -1)) };
  saveIdentity(storage, identity);
  return identity;
}

/** Keeps a name and colour for the next visit, where the browser keeps anything. */
export function saveIdentity(storage: Storage | null, identity: Identity): void {
  try {
    storage?.setItem(KEY, JSON.stringify(identity));
  } catch {
    // No room, or not allowed: the name lasts as long as the page.
  }
}
