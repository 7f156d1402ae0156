/** Who is let into a notebook, as people think of it: one line a person or link, whatever grants that rests on. */

import type { Level, Member, PeerId, TicketGiven, TicketId } from "driftline";
import { endWords, levelWords } from "./access.ts";
import { nameOf } from "./identity.ts";
import { counted } from "./words.ts";

/** Someone who is let in, or a link that lets people in. */
export interface MemberLine {
  key: PeerId;
  name: string;
  /** What they may do, and until when. */
  words: string;
  isSelf: boolean;
  isLink: boolean;
  /** The link for one person that it is, if it is one. */
  ticket: TicketId | null;
  /** Whether one may shut them out, as far as can be known without trying. */
  isRemovable: boolean;
}

const RANK: Record<Level, number> = { read: 0, presence: 1, write: 2, admin: 3 };

/** How keys without a name are shown. */
export function shortKey(key: string): string {
  return `key ${key.slice(0, 8)}`;
}

/** The lines, the owner first and links last. `shown` knows by what name someone shows themselves now. */
export function memberLines(members: readonly Member[], shown: (key: PeerId) => string | null, mayRemove: boolean, now: number): MemberLine[] {
  const lines = new Map<PeerId, { best: Member; line: MemberLine }>();
  for (const member of members) {
    if (member.state !== "good") continue;
    const known = lines.get(member.key);
    if (known !== undefined && RANK[known.best.level] >= RANK[member.level]) continue;
    lines.set(member.key, { best: member, line: lineOf(member, members, shown, mayRemove, now) });
  }
  const order = (member: Member): number => (member.isOwner ? 0 : member.isLink ? 2 : 1);
  return [...lines.values()].sort((a, b) => order(a.best) - order(b.best) || (a.line.name < b.line.name ? -1 : 1)).map(({ line }) => line);
}

/** Links for one person that nobody has used yet. */
export function ticketLines(given: readonly TicketGiven[], now: number): MemberLine[] {
  const open = given.filter(({ state, level }) => state === "open" && level !== undefined);
  return open.map(({ id, note, level, ends }) => {
    const words = [levelWords(level ?? "read"), "for one person", endWords(ends, now)].filter((part) => part !== null).join(", ");
    return { key: id as unknown as PeerId, name: note === "" ? "Link" : `Link “${nameOf(note)}”`, words, isSelf: false, isLink: true, ticket: id, isRemovable: true };
  });
}

/** By what name a key is known here: what it says of itself now, what it joined as, or a part of the key. */
export function nameOfKey(key: PeerId, members: readonly Member[], shown: (key: PeerId) => string | null): string {
  const joined = members.find((member) => member.key === key && !member.isLink && member.note !== "");
  return shown(key) ?? (joined ? nameOf(joined.note) : shortKey(key));
}

function lineOf(member: Member, members: readonly Member[], shown: (key: PeerId) => string | null, mayRemove: boolean, now: number): MemberLine {
  const { key, isLink, isSelf, isOwner } = member;
  const joined = new Set(members.filter((other) => other.by === key && other.state === "good").map((other) => other.key)).size;
  const parts = [
    isOwner ? "owner" : levelWords(member.level),
    member.isDevice && member.by !== undefined ? `a device of ${nameOfKey(member.by, members, shown)}` : null,
    endWords(member.ends, now),
    isLink ? (joined === 0 ? "not used yet" : `${counted(joined, "person", "people")} came by it`) : null,
  ];
  const name = isLink ? (member.note === "" ? "Link" : `Link “${nameOf(member.note)}”`) : nameOfKey(key, members, shown);
  return { key, name: isSelf ? `${name} (you)` : name, words: parts.filter((part) => part !== null).join(", "), isSelf, isLink, ticket: null, isRemovable: mayRemove && !isSelf && !isOwner };
}
