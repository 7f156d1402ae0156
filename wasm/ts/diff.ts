/**
 * Patches between two plain values, for when a mirror starts again: an app that moves an editor by patches then needs
 * no case of its own. Simple rather than smallest: of a list or text, one stretch between what both begin and end with.
 */

import type { Patch, Path } from "./api.js";
import { Counter, ImmutableString } from "./scalar.js";
import { isContainer, splitsLetter } from "./value.js";

/** Patches that make `before` into `after`. */
export function diff(before: unknown, after: unknown, path: Path = []): Patch[] {
  const patches: Patch[] = [];
  compare(before, after, path, patches);
  return patches;
}

/** The one stretch in which two texts differ: `del` units at `index` of the first are `insert` in the second. */
export function textDifference(before: string, after: string): { index: number; del: number; insert: string } {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  if (splitsLetter(before, start) || splitsLetter(after, start)) start--;
  let end = 0;
  while (end < shorter - start && before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)) end++;
  if (splitsLetter(before, before.length - end) || splitsLetter(after, after.length - end)) end--;
  return { index: start, del: before.length - start - end, insert: after.slice(start, after.length - end) };
}

/** Whether two values of a document are the same in everything. */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (a instanceof Counter) return b instanceof Counter && a.value === b.value;
  if (a instanceof ImmutableString) return b instanceof ImmutableString && a.val === b.val;
  if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime();
  if (a instanceof Uint8Array) return b instanceof Uint8Array && a.length === b.length && a.every((byte, index) => byte === b[index]);
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((element, index) => same(element, b[index]));
  if (!isContainer(b) || Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], b[key]));
}

function compare(before: unknown, after: unknown, path: Path, patches: Patch[]): void {
  if (same(before, after)) return;
  if (typeof before === "string" && typeof after === "string") {
    const { index, del, insert } = textDifference(before, after);
    if (del > 0) patches.push({ action: "delete", path: [...path, index], length: del });
    if (insert !== "") patches.push({ action: "splice", path: [...path, index], insert });
  } else if (Array.isArray(before) && Array.isArray(after)) {
    compareLists(before, after, path, patches);
  } else if (isContainer(before) && isContainer(after) && !Array.isArray(before) && !Array.isArray(after)) {
    for (const key of Object.keys(before)) {
      if (!Object.hasOwn(after, key)) patches.push({ action: "delete", path: [...path, key], length: 1 });
    }
    for (const key of Object.keys(after)) {
      if (Object.hasOwn(before, key)) compare(before[key], after[key], [...path, key], patches);
      else patches.push({ action: "put", path: [...path, key], value: after[key] });
    }
  } else {
    patches.push({ action: "put", path, value: after });
  }
}

function compareLists(before: readonly unknown[], after: readonly unknown[], path: Path, patches: Patch[]): void {
  if (before.length === after.length) {
    for (let index = 0; index < after.length; index++) compare(before[index], after[index], [...path, index], patches);
    return;
  }
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && same(before[start], after[start])) start++;
  let end = 0;
  while (end < shorter - start && same(before[before.length - 1 - end], after[after.length - 1 - end])) end++;
  const del = before.length - start - end;
  if (del > 0) patches.push({ action: "delete", path: [...path, start], length: del });
  const values = after.slice(start, after.length - end);
  if (values.length > 0) patches.push({ action: "insert", path: [...path, start], values });
}
