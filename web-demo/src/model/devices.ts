/** One's devices, as people think of them. */

import type { Ask, InSpace, SpaceCard } from "driftline";
import { UNNAMED } from "./notebook.ts";
import { loadRecent, saveRecent } from "./places.ts";

/** What this browser is called where another device shows it: what it says of itself is enough to tell two apart. */
export function deviceName(person: string, agent = navigator.userAgent): string {
  const system = [["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["Mac OS", "Mac"], ["Windows", "Windows"], ["Linux", "Linux"]].find(([mark]) => agent.includes(mark as string))?.[1] ?? "device";
  const browser = [["Firefox", "Firefox"], ["Edg", "Edge"], ["Chrom", "Chrome"], ["Safari", "Safari"]].find(([mark]) => agent.includes(mark as string))?.[1] ?? "browser";
  return `${person} (${browser}, ${system})`;
}

/** A code in two halves, as people read it. */
export function spacedCode(code: string): string {
  return `${code.slice(0, 3)} ${code.slice(3)}`;
}

/** Whom one waits for. */
export function giverOf(ask: Ask): string {
  return ask.from === "" ? "whoever sent the link" : ask.from;
}

const WHY: Record<Exclude<Ask["why"], undefined>, string> = {
  used: "The link works once, and someone else has used it. Ask for a new one.",
  ended: "The link had ended when it was asked about. Ask for a new one.",
  takenBack: "The link was taken back. Ask for a new one.",
  notAllowed: "Whoever sent the link may not let others in. Ask the owner.",
  declined: "It was declined on the other device.",
  twoAsked: "Two devices have used the link, so somebody else has seen it. Make a new one on the other device.",
};

/** Why one was not let in. */
export function whyNot(ask: Ask): string {
  if (ask.state === "ended") return `The link ended before ${giverOf(ask)} let you in. Ask for a new one.`;
  return WHY[ask.why ?? "notAllowed"];
}

/** Puts notebooks that another device told of on the list of recent ones; answers those that are new here. */
export function listCards(storage: Storage | null, cards: readonly SpaceCard[]): SpaceCard[] {
  const recent = loadRecent(storage);
  const added: SpaceCard[] = [];
  for (const card of cards) {
    const known = recent.find((each) => each.notebook === card.space);
    const name = card.name === "" ? UNNAMED : card.name;
    if (known === undefined) added.push(card);
    if (known === undefined || (known.name === UNNAMED && name !== UNNAMED)) saveRecent(storage, { notebook: card.space, name, opened: known?.opened ?? Date.now() });
  }
  return added;
}

/** What could not be done everywhere, as a sentence; nothing where it was. */
export function exceptions(spaces: readonly InSpace[], what: string): string | null {
  const failed = spaces.filter(({ error }) => error !== undefined);
  const [first] = failed;
  if (first === undefined) return null;
  const names = failed.map(({ name }) => `“${name === "" ? UNNAMED : name}”`).join(", ");
  return `${names} ${failed.length === 1 ? "was" : "were"} not ${what}: ${first.error}.`;
}
