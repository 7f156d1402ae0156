/**
 * Values on their way to the engine and back.
 *
 * The engine speaks JSON, with one-key objects for what JSON has no word for: `{"$counter": 3}`. A document as an app
 * sees it has plain frozen values instead, and the classes of `scalar.ts`.
 */

import type { Path, Prop } from "./api.js";
import { Counter, ImmutableString } from "./scalar.js";

/** A value as the engine says and reads it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** An object or list of a document; everything else is replaced as a whole. */
export type Container = { [key: string]: unknown } | unknown[];

/** How deep a value may nest: far above what documents do, and below what a stack holds. */
const DEPTH_MAX = 256;

/** Whether a document's value has parts of its own. */
export function isContainer(value: unknown): value is Container {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  return !(value instanceof Counter || value instanceof ImmutableString || value instanceof Date || value instanceof Uint8Array);
}

/** What stands at a key of an object or at an index of a list. */
export function at(container: Container, prop: Prop): unknown {
  return (container as Record<Prop, unknown>)[prop];
}

/** What stands at `path`; nothing where there is no such place. */
export function lookup(root: unknown, path: Path): unknown {
  let value = root;
  for (const prop of path) {
    if (!isContainer(value) || !Object.hasOwn(value, prop)) return undefined;
    value = at(value, prop);
  }
  return value;
}

/** The value an app is shown, frozen, from the engine's JSON. */
export function decode(json: Json): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return Object.freeze(json.map(decode));
  const keys = Object.keys(json);
  const only = keys[0];
  if (keys.length === 1 && only !== undefined && only.startsWith("$")) {
    const inner = json[only];
    if (only === "$counter" && typeof inner === "number") return Object.freeze(new Counter(inner));
    if (only === "$string" && typeof inner === "string") return Object.freeze(new ImmutableString(inner));
    if (only === "$timestamp" && typeof inner === "number") return new Date(inner);
    if (only === "$bytes" && typeof inner === "string") return fromBase64(inner);
    if (only === "$uint" && typeof inner === "number") return inner;
    if (only === "$float" && typeof inner === "string") return Number(inner);
    if (only === "$map" && isContainer(inner) && !Array.isArray(inner)) return decodeMap(inner as { [key: string]: Json });
  }
  return decodeMap(json);
}

function decodeMap(json: { [key: string]: Json }): object {
  const object = {};
  for (const key of Object.keys(json)) define(object, key, decode(json[key] as Json));
  return Object.freeze(object);
}

/** The engine's JSON for a value of an app's; throws, with a sentence, at what a document cannot hold. */
export function encode(value: unknown, depth = 0): Json {
  if (depth > DEPTH_MAX) throw new RangeError(`a value is nested more than ${DEPTH_MAX} deep; does it contain itself?`);
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : { $float: String(value) };
    case "bigint":
      if (!Number.isSafeInteger(Number(value))) throw new RangeError("whole numbers above 2^53 cannot be stored: use a string");
      return Number(value);
    case "undefined":
      throw new RangeError("undefined cannot be stored: use null, or delete the key");
    case "object":
      return encodeObject(value, depth);
    default:
      throw new TypeError(`a ${typeof value} cannot be stored`);
  }
}

function encodeObject(value: object | null, depth: number): Json {
  if (value === null) return null;
  if (value instanceof Counter) return { $counter: value.value };
  if (value instanceof ImmutableString) return { $string: wellFormed(value.val) };
  if (value instanceof Uint8Array) return { $bytes: toBase64(value) };
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new RangeError("an invalid date cannot be stored");
    return { $timestamp: value.getTime() };
  }
  if (Array.isArray(value)) return Array.from(value, (element) => encode(element, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`a ${value.constructor?.name ?? "value with a prototype"} cannot be stored: only plain objects, arrays and simple values can`);
  }
  const json: { [key: string]: Json } = {};
  const keys = Object.keys(value);
  for (const key of keys) define(json, checkedKey(key), encode((value as Record<string, unknown>)[key], depth + 1));
  return keys.length === 1 && keys[0]?.startsWith("$") ? { $map: json } : json;
}

/** A key of an object in a document; throws at what cannot be one. */
export function checkedKey(key: string): string {
  if (key === "") throw new RangeError("a key of a document's object cannot be empty");
  return wellFormed(key);
}

/** Sets a key as data, also one like `__proto__`. */
export function define(object: object, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else (object as Record<string, unknown>)[key] = value;
}

/** Text without lone halves of surrogate pairs, which have no place outside JavaScript. */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

/** Whether `index` stands between the two halves of one letter. */
export function splitsLetter(text: string, index: number): boolean {
  if (index <= 0 || index >= text.length) return false;
  const before = text.charCodeAt(index - 1);
  const after = text.charCodeAt(index);
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}

function toBase64(bytes: Uint8Array): string {
  let binary = "";
  const stretch = 0x8000;
  for (let from = 0; from < bytes.length; from += stretch) binary += String.fromCharCode(...bytes.subarray(from, from + stretch));
  return btoa(binary);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
