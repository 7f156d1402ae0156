/**
 * Edits made again on another state than the one they were made on.
 *
 * Needed only when the tab that ran the engine went away between showing what others wrote and writing it to disk,
 * while this tab wrote on top of that. Nothing of the edit is dropped: places in texts and lists are moved by what
 * lies before and after the stretch in which both states differ, and a part that is gone takes its edit with it.
 */

import type { Path, Prop } from "./api.js";
import { textDifference } from "./diff.js";
import { mark, type Op, record, type Recorded, splice, updateText } from "./draft.js";
import { Counter } from "./scalar.js";
import { at, type Container, decode, isContainer, lookup } from "./value.js";

/** What `ops`, made on `then`, come to on `now`. */
export function reapply(ops: readonly Op[], then: object, now: object): Recorded {
  return record<Container>(now, (draft) => {
    for (const op of ops) {
      try {
        redo(op, draft, then, now);
      } catch {
        // The part it was made on is not there: what it said of it has no meaning any more.
      }
    }
  });
}

function redo(op: Op, draft: Container, then: object, now: object): void {
  if (op.op === "splice" || op.op === "mark") {
    const [before, after] = [lookup(then, op.path), lookup(now, op.path)];
    const moved = typeof before === "string" && typeof after === "string" ? movedBy(before, after) : (index: number) => index;
    const length = (lookup(draft, op.path) as string).length;
    const [from, to] = op.op === "splice" ? [op.index, op.index + op.delete] : [op.start, op.end];
    const start = Math.min(moved(from), length);
    const end = Math.min(Math.max(moved(to), start), length);
    if (op.op === "splice") return splice(draft, op.path, start, end - start, op.insert);
    return mark(draft, op.path, { start, end, expand: op.expand }, op.name, decode(op.value));
  }
  if (op.op === "updateText") return updateText(draft, op.path, op.text);
  const parent = parentOf(draft, op.path);
  const last = op.path[op.path.length - 1] as Prop;
  switch (op.op) {
    case "put":
      (parent as Record<Prop, unknown>)[last] = decode(op.value);
      return;
    case "insert":
      (parent as unknown[]).splice(last as number, 0, ...op.values.map(decode));
      return;
    case "delete":
      if (Array.isArray(parent)) parent.splice(last as number, op.length);
      else delete parent[last];
      return;
    case "increment": {
      const counter = at(parent, last);
      if (counter instanceof Counter) counter.increment(op.by);
    }
  }
}

function parentOf(draft: Container, path: Path): Container {
  const parent = path.slice(0, -1).reduce<unknown>((value, prop) => at(value as Container, prop), draft);
  if (!isContainer(parent)) throw new RangeError("there is no such part");
  return parent;
}

/** Where an index of `before` is in `after`, which differs from it in one stretch. */
function movedBy(before: string, after: string): (index: number) => number {
  const { index: start, del, insert } = textDifference(before, after);
  return (index) => {
    if (index <= start) return index;
    return index >= start + del ? index + insert.length - del : Math.min(index, start + insert.length);
  };
}
