/** Words about notes that are worked out rather than stored: what to call one, when it was edited, what it says. */

/** What a note is called in lists when it has neither title nor text. */
export const UNTITLED = "Untitled note";

const SNIPPET_LENGTH_MAX = 140;

/** The title of a note, or the first line of its body without its Markdown signs. */
export function headline(title: string, body: string): string {
  const own = title.trim();
  if (own !== "") return own;
  for (const line of body.slice(0, 2_000).split("\n")) {
    const words = plain(line);
    if (words !== "") return words.slice(0, SNIPPET_LENGTH_MAX);
  }
  return UNTITLED;
}

/** The beginning of a body in one line; without the first line where that already serves as the headline. */
export function snippet(title: string, body: string): string {
  const lines = body.slice(0, 2_000).split("\n").map(plain).filter((line) => line !== "");
  if (title.trim() === "") lines.shift();
  return lines.join(" · ").slice(0, SNIPPET_LENGTH_MAX);
}

/** A line without the signs that only format it. */
export function plain(line: string): string {
  return line
    .replace(/^\s*(?:#{1,6}\s+|>\s?|[-*+]\s+(?:\[[ xX]\]\s+)?|\d+[.)]\s+|`{3,}.*$|[-*_]{3,}\s*$)/, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|__|~~|`)/g, "")
    .replace(/(^|\s)[*_](\S(?:.*?\S)?)[*_](?=\s|[.,;:!?]|$)/g, "$1$2")
    .trim();
}

/** A moment as people say it: "just now", "12 min", "14:05", "Tue", "3 Mar", "3 Mar 2024". */
export function ago(ms: number, now: number): string {
  const past = Math.max(0, now - ms);
  if (past < 45_000) return "just now";
  if (past < 3_600_000) return `${Math.max(1, Math.round(past / 60_000))} min ago`;
  const then = new Date(ms);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) {
    return then.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  }
  if (past < 6 * 86_400_000) return then.toLocaleDateString(undefined, { weekday: "long" });
  return then.toLocaleDateString(undefined, {
    day: "numeric",
    month: "short",
    ...(then.getFullYear() === today.getFullYear() ? {} : { year: "numeric" }),
  });
}

/** `count` and the right form of a noun. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A text prepared for finding: case and accents do not matter. */
export function fold(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
