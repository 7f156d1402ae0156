// Tabs without the browser's locks still have one leader at a time, and two that both believe to lead do no harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { indexedDbMedium } from "#dist/indexeddb.js";
import { leaseLocks } from "#dist/locks.js";
import { splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";

const database = (): globalThis.IDBFactory => new IDBFactory() as unknown as globalThis.IDBFactory;

test("a lock is held by one at a time, and passes on when it is let go", async () => {
  const locks = leaseLocks(database());
  const { signal } = new AbortController();
  const order: string[] = [];
  let letGo = (): void => {};
  const first = locks.request("a", { signal }, () => new Promise((resolve) => {
    order.push("first");
    letGo = resolve;
  }));
  await eventually("the first has it", () => order.length === 1);
  const second = locks.request("a", { signal }, async () => void order.push("second"));
  await locks.request("b", { signal }, async () => void order.push("another"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(order, ["first", "another"]);
  letGo();
  await Promise.all([first, second]);
  assert.deepEqual(order, ["first", "another", "second"]);
});

test("who waits can give up", async () => {
  const locks = leaseLocks(database());
  let letGo: (() => void) | undefined;
  const held = locks.request("a", { signal: new AbortController().signal }, () => new Promise((resolve) => { letGo = resolve; }));
  await eventually("it is held", () => letGo !== undefined);
  const waiting = new AbortController();
  const request = locks.request("a", { signal: waiting.signal }, () => assert.fail("it is not free"));
  setTimeout(() => waiting.abort(new Error("given up")), 20);
  await assert.rejects(request, /given up/);
  letGo?.();
  await held;
});

test("a holder that slept too long loses the lock and is told so", async () => {
  const factory = database();
  // What it has said is long ago for everyone else.
  let sleptMs = 60_000;
  const sleeper = leaseLocks(factory, () => Date.now() - sleptMs);
  const other = leaseLocks(factory);
  const { signal } = new AbortController();
  let isHeld = false;
  const slept = sleeper.request("a", { signal }, () => new Promise(() => { isHeld = true; }));
  slept.catch(() => {});
  await eventually("it is held", () => isHeld);
  let isTaken = false;
  void other.request("a", { signal }, () => new Promise<void>((resolve) => {
    isTaken = true;
    setTimeout(resolve, 3_000);
  }));
  await eventually("the other takes it", () => isTaken);
  sleptMs = 0;
  await assert.rejects(slept, /another tab has taken over/);
});

test("a journal has one writer: the last that opened it", async () => {
  const factory = database();
  const old = await indexedDbMedium(factory, "a");
  await old.read();
  await old.write?.(0, 0, new Uint8Array([1, 2]));
  const next = await indexedDbMedium(factory, "a");
  assert.deepEqual((await next.read())[0], new Uint8Array([1, 2]));
  await next.write?.(0, 2, new Uint8Array([3]));
  await assert.rejects(Promise.resolve(old.write?.(0, 2, new Uint8Array([9, 9]))), /another tab writes this store/);
  await assert.rejects(Promise.resolve(old.write?.(1, 0, new Uint8Array([9]))), /another tab writes this store/, "nor a copy of it");
  next.close();
  const again = await indexedDbMedium(factory, "a");
  assert.deepEqual((await again.read())[0], new Uint8Array([1, 2, 3]));
});

test("tabs of a page that came over plain HTTP share one engine, and replace it when its tab is gone", async () => {
  const profile = new Profile({ leases: true });
  const first = await profile.open();
  const second = await profile.open();
  assert.deepEqual([first.repo.role, second.repo.role], ["leader", "follower"]);
  const mine = first.repo.space("s").create<{ body: string }>({ body: "" });
  const yours = second.repo.space("s").find<{ body: string }>(mine.id);
  await yours.whenReady({ timeout: 5_000 });
  mine.change((d) => splice(d, ["body"], 0, 0, "a"));
  await mine.whenSaved("device", { timeout: 5_000 });
  await first.repo.close();
  yours.change((d) => splice(d, ["body"], 0, 0, "b"));
  await eventually("the second leads", () => second.repo.role === "leader");
  await yours.whenSaved("device", { timeout: 5_000 });
  assert.match(yours.doc()?.body ?? "", /^(ab|ba)$/);
  await second.repo.close();
});
