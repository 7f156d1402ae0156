// What an app does to a draft, the mirror shows and the engine is told.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Op, record, splice, updateText } from "#dist/draft.js";
import { Counter, ImmutableString } from "#dist/scalar.js";
import { applyPatches } from "#dist/patch.js";
import { decode } from "#dist/value.js";

// biome-ignore lint: drafts in these tests have any shape
type Any = any;

function change(value: object, fn: (draft: Any) => void): { ops: Op[]; value: Any } {
  const before = decode(JSON.parse(JSON.stringify(value))) as object;
  const recorded = record(before, fn);
  assert.deepEqual(applyPatches(before, recorded.patches), recorded.value, "patches give the value");
  return { ops: recorded.ops, value: recorded.value };
}

test("assignments, deletions and nested objects become operations in order", () => {
  const { ops, value } = change({ title: "a", old: 1 }, (d) => {
    d.title = "b";
    delete d.old;
    d.author = { name: "Ada", tags: ["x"] };
    d.author.name = "Grace";
  });
  assert.deepEqual(value, { title: "b", author: { name: "Grace", tags: ["x"] } });
  assert.deepEqual(ops, [
    { op: "put", path: ["title"], value: "b" },
    { op: "delete", path: ["old"], length: 1 },
    { op: "put", path: ["author"], value: { name: "Ada", tags: ["x"] } },
    { op: "put", path: ["author", "name"], value: "Grace" },
  ]);
});

test("lists change by push, unshift, splice, index and pop, and shifted elements know their new place", () => {
  const { ops, value } = change({ list: [{ n: 1 }, { n: 2 }, { n: 3 }] }, (d) => {
    const third = d.list[2];
    d.list.unshift({ n: 0 });
    third.n = 33;
    assert.deepEqual(d.list.splice(1, 2), [{ n: 1 }, { n: 2 }]);
    third.n = 34;
    d.list.push({ n: 4 }, { n: 5 });
    assert.deepEqual(d.list.pop(), { n: 5 });
    d.list[0] = { n: -1 };
    assert.deepEqual(d.list.map((e: Any) => e.n), [-1, 34, 4]);
    assert.equal(d.list.length, 3);
    assert.ok(Array.isArray(d.list));
  });
  assert.deepEqual(value, { list: [{ n: -1 }, { n: 34 }, { n: 4 }] });
  assert.deepEqual(ops[1], { op: "put", path: ["list", 3, "n"], value: 33 });
  assert.deepEqual(ops[3], { op: "put", path: ["list", 1, "n"], value: 34 });
});

test("a filtered list can be assigned, as a copy", () => {
  const { value } = change({ todos: [{ t: "a", done: true }, { t: "b", done: false }] }, (d) => {
    d.todos = d.todos.filter((todo: Any) => !todo.done);
    d.todos[0].t = "c";
  });
  assert.deepEqual(value, { todos: [{ t: "c", done: false }] });
});

test("text is spliced and updated, and a splice never halves a letter", () => {
  const { ops, value } = change({ text: "a\u{1F600}b" }, (d) => {
    splice(d, ["text"], 2, 0, "x");
    updateText(d, ["text"], "ax\u{1F601}b");
    splice(d, ["text"], 4, 1);
  });
  assert.equal(value.text, "ax\u{1F601}");
  assert.deepEqual(ops, [
    { op: "splice", path: ["text"], index: 1, delete: 0, insert: "x" },
    { op: "updateText", path: ["text"], text: "ax\u{1F601}b" },
    { op: "splice", path: ["text"], index: 4, delete: 1, insert: "" },
  ]);
});

test("counters, dates, bytes and immutable strings are values of their own", () => {
  const { ops, value } = change({}, (d) => {
    d.likes = new Counter(2);
    d.likes.increment(3);
    d.likes.decrement();
    assert.equal(d.likes.value, 4);
    d.at = new Date(5);
    d.bytes = new Uint8Array([1, 255]);
    d.url = new ImmutableString("x:");
    d.odd = { $counter: 1 };
    d.none = NaN;
  });
  assert.equal(value.likes.value, 4);
  assert.deepEqual(ops.map((op) => ("value" in op ? op.value : "by" in op ? op.by : null)), [
    { $counter: 2 }, 3, -1, { $timestamp: 5 }, { $bytes: "Af8=" }, { $string: "x:" },
    { $map: { $counter: 1 } }, { $float: "NaN" },
  ]);
  assert.throws(() => value.likes.increment(), /only inside change/);
  assert.deepEqual([value.odd, value.none], [{ $counter: 1 }, NaN]);
});

test("what a document cannot hold is refused with a sentence, and then nothing has changed", () => {
  for (const bad of [undefined, () => 1, Symbol("s"), new Map(), { a: undefined }, new Date(NaN), 2n ** 60n]) {
    assert.throws(() => change({ a: 1 }, (d) => { d.b = bad; }), /cannot be stored/);
  }
  const self: Any = {};
  self.self = self;
  assert.throws(() => change({}, (d) => { d.self = self; }), /nested/);
  assert.throws(() => change({}, (d) => { d[""] = 1; }), /empty/);
  assert.throws(() => change({ list: [] }, (d) => { d.list[3] = 1; }), /no place/);
  assert.throws(() => change({ list: [2, 1] }, (d) => { d.list.sort(); }), /in place/);
  assert.throws(() => change({ text: "abc" }, (d) => splice(d, ["text"], 2, 5)), /does not fit/);
  assert.throws(() => change({}, (async () => {}) as Any), /asynchronous/);
});

test("a part that was removed, and a draft kept beyond its change, cannot be written to", () => {
  let kept: Any;
  assert.throws(() => change({ a: { b: 1 } }, (d) => {
    const a = d.a;
    delete d.a;
    a.b = 2;
  }), /removed/);
  change({ a: 1 }, (d) => { kept = d; });
  assert.throws(() => { kept.a = 2; }, /is over/);
});

test("what a change leaves alone keeps its identity, and everything is frozen", () => {
  const before = decode({ a: { x: 1 }, b: { y: [1, 2] } }) as Any;
  const { value, ops } = record<Any>(before, (d) => { d.a.x = 2; });
  assert.equal((value as Any).b, before.b);
  assert.notEqual((value as Any).a, before.a);
  assert.ok(Object.isFrozen((value as Any).a) && Object.isFrozen(value));
  assert.equal(ops.length, 1);
  assert.equal(record(before, (d: Any) => { void d.a.x; }).value, before);
  assert.throws(() => { (value as Any).a.x = 3; }, TypeError);
});

test("a key named __proto__ is a key", () => {
  const { value } = change(JSON.parse('{"__proto__": 1, "a": {"b": 1}}'), (d) => { d.a.b = 2; d.__proto__ = 5; });
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.keys(value), ["__proto__", "a"]);
});
