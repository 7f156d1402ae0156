/**
 * What `change` hands to an app: something that behaves like the document as a plain object, writes down every
 * operation for the engine, and becomes the mirror's next value.
 *
 * Each object and list that the app touches has a node: the value it began with or, once written to, its own copy. A
 * node finds its path when it is written to, by looking for itself in its parent, so that nothing has to be renumbered
 * when a list shifts, and a part that was removed notices that it is not part of the document any more.
 */

import type { MarkRange, Patch, Path, Prop } from "./api.js";
import { textDifference } from "./diff.js";
import { type ListDraft, listMethods } from "./draft-list.js";
import { Counter } from "./scalar.js";
import { at, checkedKey, type Container, decode, define, encode, isContainer, type Json, splitsLetter, wellFormed } from "./value.js";

/** An operation as the engine reads it. */
export type Op =
  | { op: "put"; path: Prop[]; value: Json }
  | { op: "insert"; path: Prop[]; values: Json[] }
  | { op: "delete"; path: Prop[]; length: number }
  | { op: "splice"; path: Prop[]; index: number; delete: number; insert: string }
  | { op: "updateText"; path: Prop[]; text: string }
  | { op: "increment"; path: Prop[]; by: number }
  | { op: "mark"; path: Prop[]; start: number; end: number; name: string; value: Json; expand: "none" | "before" | "after" | "both" };

/** What a change came to. */
export interface Recorded {
  /** For the engine; none when nothing was changed. */
  readonly ops: Op[];
  /** For listeners. */
  readonly patches: Patch[];
  /** The mirror's next value, frozen; the same object when nothing was changed. */
  readonly value: object;
}

/** Runs `fn` on a draft of `value`. Throws what `fn` throws, and then nothing has happened. */
export function record<T extends object>(value: object, fn: (draft: T) => void): Recorded {
  const recorder = new Recorder(value as Container);
  try {
    const answer: unknown = fn(recorder.root.proxy as T);
    if (answer instanceof Promise) {
      answer.catch(() => {});
      throw new TypeError("the function given to change() must not be asynchronous: await first, then change");
    }
  } finally {
    recorder.done = true;
  }
  return { ops: recorder.ops, patches: recorder.patches, value: recorder.finish() };
}

/** Replaces `del` units of the text at `path` of a draft, from `index` on, by `text`. */
export function splice(draft: object, path: Path, index: number, del: number, text = ""): void {
  const [node, key] = textPlace(draft, path);
  node.spliceText(key, index, del, text);
}

/** Makes the text at `path` of a draft read `text` by the smallest edit that does. */
export function updateText(draft: object, path: Path, text: string): void {
  const [node, key] = textPlace(draft, path);
  node.updateText(key, text);
}

/** Formats a stretch of the text at `path` of a draft. */
export function mark(draft: object, path: Path, range: MarkRange, name: string, value: unknown): void {
  const [node, key] = textPlace(draft, path);
  node.mark(key, range, name, value);
}

/** Takes formatting off a stretch of the text at `path` of a draft. */
export function unmark(draft: object, path: Path, range: MarkRange, name: string): void {
  mark(draft, path, range, name, null);
}

const nodes = new WeakMap<object, Node>();

/** The node behind a draft; nothing for anything else. */
export function nodeOf(value: unknown): Node | undefined {
  return typeof value === "object" && value !== null ? nodes.get(value) : undefined;
}

function textPlace(draft: object, path: Path): [Node, Prop] {
  let node = nodeOf(draft);
  if (node === undefined) throw new TypeError("splice and updateText need the draft that change() gave you");
  if (path.length === 0) throw new RangeError("the path of a text cannot be empty: it ends with the text's key");
  for (const prop of path.slice(0, -1)) {
    const child = nodeOf(node.read(prop));
    if (child === undefined) throw new RangeError(`there is nothing at ${JSON.stringify(path)}`);
    node = child;
  }
  return [node, path[path.length - 1] as Prop];
}

/** One call of `change`. */
class Recorder {
  readonly ops: Op[] = [];
  readonly patches: Patch[] = [];
  readonly root: Node;
  done = false;
  readonly byValue = new Map<Container, Node>();

  constructor(value: Container) {
    this.root = new Node(this, undefined, "", value);
  }

  note(op: Op, ...patches: Patch[]): void {
    this.ops.push(op);
    this.patches.push(...patches);
  }

  finish(): object {
    for (const node of this.byValue.values()) Object.freeze(node.value);
    return this.root.value;
  }
}

/** An object or list of the draft. */
export class Node {
  readonly proxy: object;
  value: Container;
  private copied = false;
  private readonly recorder: Recorder;
  private readonly parent: Node | undefined;
  /** Where the parent holds this; of a list, where it did when last looked for. */
  private key: Prop;

  constructor(recorder: Recorder, parent: Node | undefined, key: Prop, value: Container) {
    this.recorder = recorder;
    this.parent = parent;
    this.key = key;
    this.value = value;
    this.proxy = Array.isArray(value) ? new Proxy<unknown[]>([], listHandler(this)) : new Proxy({}, mapHandler(this));
    nodes.set(this.proxy, this);
    recorder.byValue.set(value, this);
  }

  /** What a draft shows at `prop`. */
  read(prop: Prop): unknown {
    if (!Object.hasOwn(this.value, prop)) return undefined;
    const value = at(this.value, prop);
    if (isContainer(value)) return (this.recorder.byValue.get(value) ?? new Node(this.recorder, this, prop, value)).proxy;
    if (value instanceof Counter) return new DraftCounter(value.value, (by) => this.increment(prop, by));
    return value;
  }

  put(prop: Prop, given: unknown): void {
    this.check();
    const key = typeof prop === "string" ? checkedKey(prop) : prop;
    if (typeof given === "string" && Object.hasOwn(this.value, key) && at(this.value, key) === given) return;
    const json = encode(given);
    const path = [...this.path(), key];
    const value = decode(json);
    this.write(key, value);
    this.recorder.note({ op: "put", path, value: json }, { action: "put", path, value });
  }

  delete(prop: Prop, length = 1): void {
    this.check();
    if (length === 0 || !Object.hasOwn(this.value, prop)) return;
    const path = [...this.path(), prop];
    const target = this.writable();
    if (Array.isArray(target)) target.splice(prop as number, length);
    else delete target[prop];
    this.recorder.note({ op: "delete", path, length }, { action: "delete", path, length });
  }

  insert(index: number, given: readonly unknown[]): void {
    this.check();
    if (given.length === 0) return;
    const json = given.map((value) => encode(value));
    const path = [...this.path(), index];
    const values = json.map(decode);
    (this.writable() as unknown[]).splice(index, 0, ...values);
    this.recorder.note({ op: "insert", path, values: json }, { action: "insert", path, values });
  }

  spliceText(key: Prop, index: number, del: number, text: string): void {
    this.check();
    const before = this.text(key);
    let start = Number.isInteger(index) ? index : -1;
    let end = start + del;
    if (start < 0 || !(del >= 0) || !Number.isInteger(del) || end > before.length) {
      throw new RangeError(`a splice of ${del} at ${index} does not fit a text of ${before.length}`);
    }
    if (splitsLetter(before, start)) start--;
    if (del === 0) end = start;
    else if (splitsLetter(before, end)) end++;
    const insert = wellFormed(text);
    if (end === start && insert === "") return;
    const path = [...this.path(), key];
    this.write(key, before.slice(0, start) + insert + before.slice(end));
    this.recorder.note({ op: "splice", path, index: start, delete: end - start, insert }, ...textPatches(path, start, end - start, insert));
  }

  updateText(key: Prop, text: string): void {
    this.check();
    const before = this.text(key);
    const after = wellFormed(text);
    if (before === after) return;
    const { index, del, insert } = textDifference(before, after);
    const path = [...this.path(), key];
    this.write(key, after);
    this.recorder.note({ op: "updateText", path, text: after }, ...textPatches(path, index, del, insert));
  }

  mark(key: Prop, { start, end, expand = "after" }: MarkRange, name: string, given: unknown): void {
    this.check();
    const { length } = this.text(key);
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= length)) {
      throw new RangeError(`a mark from ${start} to ${end} does not fit a text of ${length}`);
    }
    if (start === end) return;
    const json = encode(given);
    const path = [...this.path(), key];
    this.recorder.note({ op: "mark", path, start, end, name, value: json, expand }, { action: "mark", path, start, end, name, value: decode(json) });
  }

  /** Throws when this draft must not be used any more. */
  check(): void {
    if (this.recorder.done) throw new TypeError("this draft belongs to a change that is over: use it only inside change()");
  }

  private increment(key: Prop, by: number): number {
    this.check();
    if (!Number.isSafeInteger(by)) throw new RangeError("a counter changes by whole numbers");
    const counter = at(this.value, key);
    if (!(counter instanceof Counter)) throw new TypeError("this counter is not in the document any more");
    const path = [...this.path(), key];
    const next = counter.value + by;
    if (by !== 0) {
      this.write(key, Object.freeze(new Counter(next)));
      this.recorder.note({ op: "increment", path, by }, { action: "increment", path, by });
    }
    return next;
  }

  private text(key: Prop): string {
    const text = Object.hasOwn(this.value, key) ? at(this.value, key) : undefined;
    if (typeof text !== "string") throw new TypeError(`there is no text at ${JSON.stringify([...this.path(), key])}`);
    return text;
  }

  private write(key: Prop, value: unknown): void {
    const target = this.writable();
    if (Array.isArray(target)) target[key as number] = value;
    else define(target, String(key), value);
  }

  /** This node's own copy, in its place in its parent's own copy. */
  private writable(): Container {
    if (this.copied) return this.value;
    this.place();
    const before = this.value;
    const copy: Container = Array.isArray(before) ? before.slice() : { ...before };
    this.parent?.write(this.key, copy);
    this.value = copy;
    this.copied = true;
    this.recorder.byValue.delete(before);
    this.recorder.byValue.set(copy, this);
    return copy;
  }

  private path(): Prop[] {
    if (this.parent === undefined) return [];
    this.place();
    return [...this.parent.path(), this.key];
  }

  /** Looks for this node in its parent, and throws when it is not there any more. */
  private place(): void {
    if (this.parent === undefined) return;
    const siblings = this.parent.value;
    if (at(siblings, this.key) === this.value) return;
    const index = Array.isArray(siblings) ? siblings.indexOf(this.value) : -1;
    if (index < 0) throw new TypeError("this part was removed from the document, or replaced: read it again");
    this.key = index;
  }
}

class DraftCounter extends Counter {
  private readonly add: (by: number) => number;

  constructor(value: number, add: (by: number) => number) {
    super(value);
    this.add = add;
  }

  override increment(by = 1): void {
    (this as { value: number }).value = this.add(by);
  }
}

function textPatches(path: Prop[], index: number, del: number, insert: string): Patch[] {
  const patches: Patch[] = [];
  if (del > 0) patches.push({ action: "delete", path: [...path, index], length: del });
  if (insert !== "") patches.push({ action: "splice", path: [...path, index], insert });
  return patches;
}

function mapHandler(node: Node): ProxyHandler<object> {
  return {
    get: (_, key) => (typeof key === "symbol" ? undefined : readKey(node, key)),
    has: (_, key) => typeof key === "string" && Object.hasOwn(node.value, key),
    set(_, key, value) {
      if (typeof key === "symbol") throw new TypeError("a symbol cannot be a key of a document's object");
      node.put(key, value);
      return true;
    },
    deleteProperty(_, key) {
      if (typeof key === "string") node.delete(key);
      return true;
    },
    ownKeys: () => Object.keys(node.value),
    getOwnPropertyDescriptor(_, key) {
      if (typeof key === "symbol" || !Object.hasOwn(node.value, key)) return undefined;
      return { value: node.read(key), writable: true, enumerable: true, configurable: true };
    },
    defineProperty() {
      throw new TypeError("use assignment to change a document");
    },
  };
}

/** Keys of the document; where there is none, what every object has, such as `toString`. */
function readKey(node: Node, key: string): unknown {
  if (Object.hasOwn(node.value, key)) return node.read(key);
  return (Object.prototype as unknown as Record<string, unknown>)[key];
}

function listHandler(node: Node): ProxyHandler<unknown[]> {
  const list = (): unknown[] => node.value as unknown[];
  const draft: ListDraft = { node, length: () => list().length };
  return {
    get(target, key, receiver) {
      if (typeof key === "symbol") return Reflect.get(target, key, receiver);
      if (key === "length") return list().length;
      const index = toIndex(key);
      if (index !== undefined) return node.read(index);
      return listMethods(draft)[key] ?? Reflect.get(target, key, receiver);
    },
    has(target, key) {
      const index = typeof key === "string" ? toIndex(key) : undefined;
      return index === undefined ? Reflect.has(target, key) : index < list().length;
    },
    set(_, key, value) {
      if (key === "length") {
        const length = Number(value);
        if (!(length >= 0 && length <= list().length)) throw new RangeError("a list grows by inserting, not by its length");
        node.delete(length, list().length - length);
        return true;
      }
      const index = typeof key === "string" ? toIndex(key) : undefined;
      if (index === undefined || index > list().length) throw new RangeError(`a list of ${list().length} has no place ${String(key)}`);
      if (index === list().length) node.insert(index, [value]);
      else node.put(index, value);
      return true;
    },
    deleteProperty(_, key) {
      const index = typeof key === "string" ? toIndex(key) : undefined;
      if (index !== undefined) node.delete(index);
      return true;
    },
    ownKeys: () => [...list().keys()].map(String).concat("length"),
    getOwnPropertyDescriptor(_, key) {
      if (key === "length") return { value: list().length, writable: true, enumerable: false, configurable: false };
      const index = typeof key === "string" ? toIndex(key) : undefined;
      if (index === undefined || index >= list().length) return undefined;
      return { value: node.read(index), writable: true, enumerable: true, configurable: true };
    },
    defineProperty() {
      throw new TypeError("use assignment to change a document");
    },
  };
}

function toIndex(key: string): number | undefined {
  return /^(0|[1-9][0-9]*)$/.test(key) ? Number(key) : undefined;
}
