// When a mirror starts again, patches still lead from what was shown to what is.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { diff } from "#dist/diff.js";
import { applyPatches } from "#dist/patch.js";
import { decode, type Json, wellFormed } from "#dist/value.js";

const { tree } = fc.letrec<{ tree: Json }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<Json>(null, true, 1, 2),
    fc.string({ unit: fc.constantFrom("a", "b", "\u{1F600}", "\u{1F601}"), maxLength: 6 }),
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom("a", "b", "c"), tie("tree"), { maxKeys: 3 }) as fc.Arbitrary<Json>,
  ),
}));

test("patches between any two values lead from one to the other, through whole letters only", () => {
  fc.assert(fc.property(tree, tree, (a, b) => {
    const [before, after] = [decode({ root: a }), decode({ root: b })];
    const patches = diff(before, after);
    assert.deepEqual(applyPatches(before, patches), after);
    for (const patch of patches) if (patch.action === "splice") assert.equal(wellFormed(patch.insert), patch.insert);
  }));
});

test("a value equal in everything needs no patch", () => {
  fc.assert(fc.property(tree, (a) => assert.deepEqual(diff(decode(a), decode(a)), [])));
});
