import assert from "node:assert/strict";
import { test } from "node:test";
import { packageSite } from "./harness/package-site.ts";
import { Profile } from "./harness/profile.ts";

/** What signing may add to a key, and what sealing may add to that, at most, in milliseconds of the worker's time. */
const ADDED_MS_MAX = 2;
const KEYS = 300;

/** Milliseconds that a key takes in the engine: the median. In an owned space, and in a sealed one, each is signed for, which in life one in a second is. */
interface Measured {
  open: number;
  owned: number;
  sealed: number;
}

test("What signing adds to a key, if every key were signed for, and what sealing adds to that.", { timeout: 60_000 }, async (t) => {
  const site = await packageSite(t);
  const page = await (await Profile.open(t)).page(site);
  const { open, owned, sealed } = await page.evaluate(async (keys): Promise<Measured> => {
    const real = performance.now.bind(performance);
    // The engine's clock: a second and more between two keys, so that it vouches for each.
    let clock = 1_000;
    performance.now = () => clock;
    // The compiler must not look into it: the page finds the module, not the test.
    const { EngineHost, loadEngine } = await new Function("path", "return import(path)")(`${location.origin}/dist/engine.js`);
    await loadEngine(undefined);
    const ids = (globalThis as unknown as { driftline: { newSpaceId(): string; newDocumentId(): string } }).driftline;
    const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number;
    const measure = (kind: keyof Measured): number => {
      const host = new EngineHost(crypto.getRandomValues(new Uint8Array(32)), undefined, undefined, false, undefined);
      const driver = { send() {}, disconnect() {}, dial() {}, store() {}, event() {} };
      const poll = (): void => {
        while (host.poll(driver));
      };
      const command = (said: object): void => {
        host.handleCommand(JSON.stringify(said));
        poll();
      };
      poll();
      const space: string = kind === "open" ? ids.newSpaceId() : JSON.parse(host.act(JSON.stringify({ act: "foundSpace", sealed: kind === "sealed" }))).space;
      poll();
      const document = ids.newDocumentId();
      command({ command: "openSpace", space });
      command({ command: "openView", view: 1, space, document, resume: [], mirror: 7 });
      const times: number[] = [];
      for (let number = 1; number <= keys; number++) {
        clock += 1_500;
        const ops = number === 1 ? [{ op: "put", path: ["body"], value: "" }] : [{ op: "splice", path: ["body"], index: 0, delete: 0, insert: "x" }];
        const began = real();
        command({ command: "editView", view: 1, number, seen: number, edit: { ops }, stamp: { number, oldest: number } });
        times.push(real() - began);
      }
      const vouched = JSON.parse(host.ask(JSON.stringify({ ask: "authorship", document }))) as { changes: number; attested: number }[];
      if (vouched[0]?.changes !== keys || vouched[0].attested !== (kind === "open" ? 0 : keys)) throw new Error(JSON.stringify(vouched));
      host.free();
      return median(times);
    };
    for (const kind of ["open", "owned", "sealed"] as const) measure(kind);
    return { open: measure("open"), owned: measure("owned"), sealed: measure("sealed") };
  }, KEYS);
  t.diagnostic(`a key takes ${open.toFixed(3)} ms in an open space, and ${owned.toFixed(3)} ms with a signature of its own, and ${sealed.toFixed(3)} ms sealed as well`);
  assert.ok(owned - open < ADDED_MS_MAX, `signing adds ${owned - open} ms`);
  assert.ok(sealed - owned < ADDED_MS_MAX, `sealing adds ${sealed - owned} ms`);
});
