/**
 * Patches, applied to frozen values: what they touch is copied once, what they leave alone keeps its identity.
 */

import type { Patch, Path, Prop } from "./api.js";
import { Counter } from "./scalar.js";
import { at, type Container, decode, define, isContainer, type Json } from "./value.js";

/** A patch as the engine says it. */
export type WirePatch =
  | { action: "put"; path: Prop[]; value: Json }
  | { action: "insert"; path: Prop[]; values: Json[] }
  | { action: "delete"; path: Prop[]; length: number }
  | { action: "splice"; path: Prop[]; insert: string }
  | { action: "increment"; path: Prop[]; by: number }
  | { action: "mark"; path: Prop[]; start: number; end: number; name: string; value: Json };

/** A patch did not fit the value: mirror and engine are out of step, and the mirror must start again. */
export class OutOfStep extends Error {}

/** The patch an app is shown. */
export function decodePatch(patch: WirePatch): Patch {
  if (patch.action === "put" || patch.action === "mark") return { ...patch, value: decode(patch.value) };
  if (patch.action === "insert") return { ...patch, values: patch.values.map(decode) };
  return patch;
}

/** The value after `patches`, frozen. Throws `OutOfStep` where one does not fit. */
export function applyPatches(root: unknown, patches: readonly Patch[]): unknown {
  const bench = new Bench(root);
  for (const patch of patches) bench.apply(patch);
  return bench.finish();
}

/** A value being changed: copies of what was touched, beside the frozen rest. */
class Bench {
  private root: unknown;
  private readonly fresh = new Set<Container>();

  constructor(root: unknown) {
    this.root = root;
  }

  apply(patch: Patch): void {
    if (patch.action === "mark") return; // Formatting is not part of the plain value.
    if (patch.path.length === 0) {
      if (patch.action !== "put") throw new OutOfStep(`a ${patch.action} needs a path`);
      this.root = patch.value;
      return;
    }
    const path = patch.path.slice(0, -1);
    const last = patch.path[patch.path.length - 1] as Prop;
    switch (patch.action) {
      case "put":
        return this.put(this.open(path), last, patch.value);
      case "insert": {
        const list = this.open(path);
        if (!Array.isArray(list) || !isIndex(last, list.length)) throw new OutOfStep("an insert needs a list and an index in it");
        list.splice(last, 0, ...patch.values);
        return;
      }
      case "delete":
        return this.delete(path, last, patch.length);
      case "splice":
        return this.spliceText(path, last, 0, patch.insert);
      case "increment": {
        const container = this.open(path);
        const counter = at(container, last);
        if (!(counter instanceof Counter)) throw new OutOfStep("an increment needs a counter");
        return this.put(container, last, Object.freeze(new Counter(counter.value + patch.by)));
      }
    }
  }

  finish(): unknown {
    for (const container of this.fresh) Object.freeze(container);
    return this.root;
  }

  /** The object or list at `path`, as a copy that may be written to. */
  private open(path: Path): Container {
    this.root = this.writable(this.root);
    let container = this.root as Container;
    for (const prop of path) {
      const child = this.writable(at(container, prop));
      (container as Record<Prop, unknown>)[prop] = child;
      container = child;
    }
    return container;
  }

  private writable(value: unknown): Container {
    if (!isContainer(value)) throw new OutOfStep("a path leads through a value that has no parts");
    if (this.fresh.has(value)) return value;
    const copy: Container = Array.isArray(value) ? value.slice() : { ...value };
    this.fresh.add(copy);
    return copy;
  }

  private put(container: Container, prop: Prop, value: unknown): void {
    if (Array.isArray(container)) {
      if (!isIndex(prop, container.length - 1)) throw new OutOfStep("a put needs an index in the list");
      container[prop] = value;
    } else {
      define(container, String(prop), value);
    }
  }

  private delete(path: Path, last: Prop, length: number): void {
    if (typeof last === "string") {
      delete (this.open(path) as Record<string, unknown>)[last];
      return;
    }
    // The last step of the path is an index: into a list, or into a text that its parent holds.
    if (path.length > 0) {
      const parent = this.open(path.slice(0, -1));
      if (typeof at(parent, path[path.length - 1] as Prop) === "string") return this.spliceText(path, last, length, "");
    }
    const list = this.open(path);
    if (!Array.isArray(list) || !isIndex(last, list.length - length)) throw new OutOfStep("a delete reaches past the end of a list");
    list.splice(last, length);
  }

  private spliceText(path: Path, index: Prop, del: number, insert: string): void {
    if (path.length === 0) throw new OutOfStep("the whole document is not a text");
    const parent = this.open(path.slice(0, -1));
    const key = path[path.length - 1] as Prop;
    const text = at(parent, key);
    if (typeof text !== "string" || !isIndex(index, text.length - del)) throw new OutOfStep("a splice needs a text and a place in it");
    this.put(parent, key, text.slice(0, index) + insert + text.slice(index + del));
  }
}

function isIndex(prop: Prop, max: number): prop is number {
  return typeof prop === "number" && prop >= 0 && prop <= max;
}
