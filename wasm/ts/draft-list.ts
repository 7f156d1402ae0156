/** The methods of a list in a draft that change it; all others are the array's own, reading through the draft. */

import type { Node } from "./draft.js";

/** A list of the draft. */
export interface ListDraft {
  readonly node: Node;
  /** How many elements it has now. */
  readonly length: () => number;
}

type Method = (...given: never[]) => unknown;

/** The methods of this list that change it. */
export function listMethods(list: ListDraft): { [name: string]: Method | undefined } {
  return {
    __proto__: null as never,
    push(...values: unknown[]) {
      list.node.insert(list.length(), values);
      return list.length();
    },
    unshift(...values: unknown[]) {
      list.node.insert(0, values);
      return list.length();
    },
    pop: () => take(list, list.length() - 1),
    shift: () => take(list, 0),
    splice(start: number, count: number = Infinity, ...values: unknown[]) {
      const from = clamp(start, list.length());
      const length = Math.max(0, Math.min(Math.trunc(count) || (count === Infinity ? Infinity : 0), list.length() - from));
      const removed = Array.from({ length }, (_, index) => snapshot(list, from + index));
      list.node.delete(from, length);
      list.node.insert(from, values);
      return removed;
    },
    fill(value: unknown, start = 0, end = list.length()) {
      for (let index = clamp(start, list.length()); index < clamp(end, list.length()); index++) list.node.put(index, value);
      return list.node.proxy;
    },
    insertAt: (index: number, ...values: unknown[]) => {
      list.node.insert(clamp(index, list.length()), values);
    },
    deleteAt: (index: number, count = 1) => {
      list.node.delete(index, Math.min(count, list.length() - index));
    },
    sort: refuse("sorted"),
    reverse: refuse("reversed"),
    copyWithin: refuse("copied within"),
  };
}

/** Removes an element and answers it as it was. */
function take(list: ListDraft, index: number): unknown {
  if (index < 0 || index >= list.length()) return undefined;
  const value = snapshot(list, index);
  list.node.delete(index);
  return value;
}

/** An element's plain value: a removed part is no draft any more. */
function snapshot(list: ListDraft, index: number): unknown {
  return structured((list.node.value as unknown[])[index]);
}

/** A copy that later writes of the same change do not reach. */
function structured(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structured);
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, structured(inner)]));
  }
  return value;
}

function clamp(index: number, length: number): number {
  const whole = Math.trunc(index) || 0;
  return whole < 0 ? Math.max(0, length + whole) : Math.min(whole, length);
}

function refuse(done: string): Method {
  return () => {
    throw new TypeError(`a document's list cannot be ${done} in place: move elements with splice, or assign a new list`);
  };
}
