// Mirrors of one document, and the engine that merges what they do, with every message between them delayed at will.
// At rest all show what the engine holds, nothing that was typed is lost or doubled, and nobody's patches lead astray.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { record, splice, updateText } from "#dist/draft.js";
import { newDocumentId, spaceIdOf } from "#dist/ids.js";
import { Mirror, type MirrorEdit, type ViewUpdate } from "#dist/mirror.js";
import { applyPatches } from "#dist/patch.js";
import type { EngineEvent } from "#dist/protocol.js";
import { Counter } from "#dist/scalar.js";
import { decode } from "#dist/value.js";
import { TestEngine } from "./support/engine.js";

// biome-ignore lint: documents in these tests have any shape
type Any = any;

const SPACE = spaceIdOf("mirrors");

/** A mirror and the two queues between it and the engine. */
class Desk {
  readonly mirror = new Mirror();
  readonly view: number;
  toEngine: MirrorEdit[] = [];
  fromEngine: ViewUpdate[] = [];
  typed = 0;

  constructor(view: number) {
    this.view = view;
  }

  change(fn: (draft: Any) => void): void {
    const recorded = record<Any>(this.mirror.value as object, fn);
    if (recorded.ops.length === 0) return;
    const edit = this.mirror.edit(recorded);
    if (edit !== undefined) this.toEngine.push(edit);
  }

  take(): void {
    const update = this.fromEngine.shift();
    if (update === undefined) return;
    const before = this.mirror.value;
    const { change, send } = this.mirror.take(update);
    if (change !== undefined && before !== undefined) {
      assert.deepEqual(applyPatches(before, change.patches), this.mirror.value, "the patches told are what happened");
    }
    this.toEngine.push(...send);
  }
}

/** Several mirrors of one document, and its engine. */
class Office {
  engine: TestEngine;
  readonly document = newDocumentId();
  readonly desks: Desk[] = [];
  refused: string[] = [];

  constructor(desks: number) {
    this.engine = new TestEngine();
    this.engine.command({ command: "openSpace", space: SPACE });
    for (let view = 1; view <= desks; view++) {
      this.desks.push(new Desk(view));
      this.open(this.desks[view - 1] as Desk);
    }
  }

  open(desk: Desk): void {
    this.engine.command({ command: "openView", view: desk.view, space: SPACE, document: this.document, resume: desk.mirror.resume(), mirror: desk.view });
    this.poll();
  }

  /** The engine hears of the desk's next edit. */
  hear(desk: Desk): void {
    const edit = desk.toEngine.shift();
    if (edit !== undefined) this.engine.command({ command: "editView", view: desk.view, ...edit });
  }

  poll(): void {
    this.hand(this.engine.poll());
  }

  /**
   * Another engine on the same journal; the one before ends in the middle of its work. What it said last is heard, or what it did
   * last is written.
   */
  replace(seed: number, isHeard = true): void {
    if (isHeard) this.hand(this.engine.crash());
    else {
      this.engine.poll();
      this.engine.host.free();
    }
    this.engine = new TestEngine({ seed, journal: this.engine.journal });
    this.engine.command({ command: "openSpace", space: SPACE });
    for (const desk of this.desks) {
      // What was said to it is gone; what it said arrives.
      desk.toEngine = [];
      while (desk.fromEngine.length > 0) desk.take();
      desk.toEngine = [];
      this.open(desk);
    }
  }

  private hand(events: EngineEvent[]): void {
    for (const event of events) {
      if (event.event === "viewUpdated") this.desks.find(({ view }) => view === event.view)?.fromEngine.push(event);
      if (event.event === "editRefused") {
        const desk = this.desks.find(({ view }) => view === event.view);
        if (desk?.mirror.onRefused(event.number) !== false) this.refused.push(event.reason);
      }
      if (event.event === "saved" && event.device) for (const desk of this.desks) desk.mirror.onDurable();
    }
  }

  /** Everything said is heard, until nobody says anything. */
  rest(): void {
    for (let round = 0; ; round++) {
      assert.ok(round < 100, "mirrors and engine come to rest");
      const busy = this.desks.some((desk) => desk.toEngine.length + desk.fromEngine.length > 0);
      if (!busy && round > 0) return;
      for (const desk of this.desks) {
        while (desk.toEngine.length > 0) this.hear(desk);
        this.poll();
        while (desk.fromEngine.length > 0) desk.take();
      }
    }
  }

  /** What a mirror that opens now is shown. */
  truth(): Any {
    this.engine.command({ command: "openView", view: 999, space: SPACE, document: this.document, resume: [], mirror: 999 });
    const update = this.engine.poll().find((event) => event.event === "viewUpdated" && event.view === 999) as ViewUpdate;
    this.engine.command({ command: "closeView", view: 999 });
    return applyPatches(decode(update.reset), update.patches as Any);
  }
}

/** What can happen in an office: who, what, where. */
const step = fc.record({
  desk: fc.nat(2),
  what: fc.constantFrom("type", "type", "type", "type", "erase", "update", "list", "map", "count", "hear", "hear", "poll", "poll", "take", "take"),
  at: fc.nat(1_000),
});

interface Step { desk: number; what: string; at: number }

/** Lets these steps happen; answers the tokens typed. */
function play(office: Office, steps: readonly Step[]): string[] {
  const tokens: string[] = [];
  for (const { desk: index, what, at } of steps) {
    const desk = office.desks[index % office.desks.length] as Desk;
    const doc = desk.mirror.value as Any;
    switch (what) {
      case "type": {
        const token = `<${desk.view}.${++desk.typed}>`;
        tokens.push(token);
        // Between tokens, so that all can be found again.
        const places = [...(doc.text as string).matchAll(/<|$/g)].map((match) => match.index);
        desk.change((d) => splice(d, ["text"], places[at % places.length] as number, 0, token));
        break;
      }
      case "erase":
        desk.change((d) => {
          const length = (doc.scratch as string).length;
          splice(d, ["scratch"], at % (length + 1), Math.min(at % 3, length - (at % (length + 1))), at % 2 === 0 ? "\u{1F600}x" : "");
        });
        break;
      case "update":
        desk.change((d) => updateText(d, ["scratch"], `${doc.scratch.slice(at % 5)}${at}`));
        break;
      case "list":
        desk.change((d) => {
          const place = at % (d.list.length + 1);
          if (at % 3 === 0 && d.list.length > 0) d.list.splice(place % d.list.length, 1);
          else if (at % 3 === 1) d.list.splice(place, 0, { n: at, tags: ["t"] }, at);
          else if (typeof d.list[place] === "object" && d.list[place] !== null) d.list[place].n = -at;
        });
        break;
      case "map":
        desk.change((d) => {
          const key = `k${at % 4}`;
          if (at % 2 === 0) delete d.map[key];
          else d.map[key] = at % 5 === 0 ? { inner: at } : at;
        });
        break;
      case "count":
        desk.change((d) => d.count.increment((at % 7) - 3));
        break;
      case "hear":
        office.hear(desk);
        break;
      case "poll":
        office.poll();
        break;
      case "take":
        desk.take();
    }
  }
  return tokens;
}

function begin(office: Office): void {
  office.rest();
  office.desks[0]?.change((d) => {
    Object.assign(d, { text: "", scratch: "ab\u{1F601}cd", list: [1, { n: 2 }], map: { k0: 0 }, count: new Counter(0) });
  });
  office.rest();
}

function check(office: Office, tokens: readonly string[]): void {
  const truth = office.truth();
  for (const desk of office.desks) assert.deepEqual(desk.mirror.value, truth, `mirror ${desk.view} shows what the engine holds`);
  for (const token of tokens) assert.equal(truth.text.split(token).length, 2, `${token} is there, once`);
}

test("mirrors that edit at once, with every message delayed, come to show the same, and nothing typed is lost", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const office = new Office(3);
      begin(office);
      const tokens = play(office, steps);
      office.rest();
      check(office, tokens);
      assert.deepEqual(office.refused, []);
      office.engine.host.free();
    }),
    { numRuns: 150, includeErrorInReport: true },
  );
});

test("an engine that goes away is replaced by another on the same journal, and mirrors go on where they were", () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { minLength: 5, maxLength: 40 }), { minLength: 2, maxLength: 4 }), (lives) => {
      const office = new Office(2);
      begin(office);
      const tokens: string[] = [];
      lives.forEach((steps, life) => {
        tokens.push(...play(office, steps));
        office.replace(life + 2, steps.length % 2 === 0);
      });
      office.rest();
      check(office, tokens);
      assert.deepEqual(office.refused, []);
      office.engine.host.free();
    }),
    { numRuns: 100, includeErrorInReport: true },
  );
});

test("an edit that the engine kept, and whose answer died with it, is not made a second time by the next", () => {
  const office = new Office(2);
  begin(office);
  const [desk, other] = office.desks as [Desk, Desk];
  const type = (token: string): void => desk.change((d) => splice(d, ["text"], d.text.length, 0, token));
  type("<one>");
  office.hear(desk);
  office.poll();
  type("<two>");
  type("<three>");
  office.hear(desk);
  office.replace(2, false);
  office.rest();
  check(office, ["<one>", "<two>", "<three>"]);
  // Nor where the mirror begins anew with a third, which knows none of the states it has shown.
  type("<four>");
  other.change((d) => splice(d, ["text"], 0, 0, "<zero>"));
  office.hear(desk);
  office.hear(other);
  office.poll();
  desk.mirror.resume();
  desk.fromEngine = [];
  office.engine.command({ command: "openView", view: desk.view + 100, space: SPACE, document: office.document, resume: [], mirror: desk.view });
  office.engine.command({ command: "closeView", view: desk.view });
  (desk as { view: number }).view += 100;
  office.rest();
  check(office, ["<zero>", "<one>", "<two>", "<three>", "<four>"]);
  office.engine.host.free();
});

test("a state that was taken is not replaced by the older base of an answer that is dropped", () => {
  const mirror = new Mirror();
  const update = { view: 1, document: "", reset: null, patches: [], covers: 0 };
  mirror.take({ ...update, number: 1, reset: { text: "a" }, heads: ["one"], base: ["one"] });
  const patches = [{ action: "splice" as const, path: ["text", 1], insert: "b" }];
  mirror.take({ ...update, number: 2, patches, heads: ["two"], base: ["one"] });
  mirror.edit(record<Any>(mirror.value as object, (draft) => splice(draft, ["text"], 2, 0, "c")));
  mirror.take({ ...update, number: 3, patches, heads: ["three"], base: ["one"] });
  assert.deepEqual(mirror.value, { text: "abc" });
  assert.deepEqual(mirror.resume()[0], { covers: 0, heads: ["two"] });
});
