// Several tabs of one profile share one store and stay in step, with no relay; and when the tab that runs the engine
// goes, without a word even, the next takes over and nobody loses anything.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Repo, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile, ProfileTab } from "./support/profile.js";

interface Note {
  body: string;
}

test("two tabs show each other's edits, lists and presence, without a relay", async () => {
  const profile = new Profile();
  const first = await profile.open();
  const second = await profile.open();
  assert.deepEqual([first.repo.role, second.repo.role], ["leader", "follower"]);
  assert.equal(first.repo.peerId, second.repo.peerId);
  assert.deepEqual([second.repo.storage.kind, second.repo.storage.durable], ["indexeddb", true]);

  assert.deepEqual([first.repo.storage.isEmpty, second.repo.storage.isEmpty], [true, true]);
  const mine = first.repo.space("s").create<Note>({ body: "" });
  await eventually("nobody takes the store for empty any more", () => !first.repo.storage.isEmpty && !second.repo.storage.isEmpty);
  const third = await profile.open();
  assert.equal(third.repo.storage.isEmpty, false);
  await third.repo.close();
  const list = second.repo.space("s");
  await eventually("the second tab lists it", () => list.documents.includes(mine.id));
  const yours = list.find<Note>(mine.id);
  await yours.whenReady({ timeout: 5_000 });
  for (let n = 0; n < 20; n++) {
    mine.change((d) => splice(d, ["body"], 0, 0, `<a${n}>`));
    yours.change((d) => splice(d, ["body"], d.body.length, 0, `<b${n}>`));
    if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await eventually("both show the same", () => mine.doc()?.body === yours.doc()?.body && mine.saved.device && yours.saved.device);
  for (let n = 0; n < 20; n++) for (const who of "ab") assert.equal(mine.doc()?.body.split(`<${who}${n}>`).length, 2);

  first.repo.space("s").presence.set({ name: "one" });
  list.presence.set({ name: "two" });
  await eventually("each sees the other", () => list.presence.states.length === 1 && first.repo.space("s").presence.states.length === 1);
  assert.deepEqual(list.presence.states[0]?.state, { name: "one" });
  second.tab.crash();
  await eventually("a tab that is gone is not seen any more", () => first.repo.space("s").presence.states.length === 0);
  await first.repo.close();
});

test("a tab that is late to hold its lock is not taken for one that is gone", async () => {
  const profile = new Profile();
  const first = await profile.open();
  const note = first.repo.space("s").create<Note>({ body: "early" });
  const tab = new ProfileTab(profile);
  tab.lockDelayMs = 100;
  const late = await Repo.open({ worker: () => tab.worker() });
  const list = late.space("s");
  await eventually("it is told what there is", () => list.documents.includes(note.id));
  const same = list.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  same.change((d) => splice(d, ["body"], 5, 0, " and late"));
  await eventually("and it is heard", () => note.doc()?.body === "early and late");
  await late.close();
  await first.repo.close();
});

test("when the leading tab goes, with a goodbye or without one, the next leads and every edit is kept", async () => {
  const profile = new Profile();
  const tabs = [await profile.open(), await profile.open(), await profile.open()];
  const { id } = (tabs[0] as { repo: Repo }).repo.space("s").create<Note>({ body: "" });
  const handles = tabs.map(({ repo }) => repo.space("s").find<Note>(id));
  await Promise.all(handles.map((handle) => handle.whenReady({ timeout: 5_000 })));
  const typed: string[] = [];
  const type = (tab: number, n: number): void => {
    const token = `<${tab}.${n}>`;
    typed.push(token);
    handles[tab]?.change((d) => splice(d, ["body"], 0, 0, token));
  };
  for (let n = 0; n < 10; n++) for (const tab of [0, 1, 2]) type(tab, n);
  await (tabs[0] as { repo: Repo }).repo.close();
  for (let n = 10; n < 20; n++) for (const tab of [1, 2]) type(tab, n);
  await eventually("the second leads", () => tabs[1]?.repo.role === "leader");
  await eventually("both show all", () => [1, 2].every((tab) => typed.every((token) => handles[tab]?.doc()?.body.includes(token))));

  for (let n = 20; n < 30; n++) for (const tab of [1, 2]) type(tab, n);
  await handles[1]?.whenSaved("device", { timeout: 5_000 });
  const others = typed.slice();
  tabs[1]?.tab.crash();
  for (let n = 30; n < 40; n++) type(2, n);
  await eventually("the third leads", () => tabs[2]?.repo.role === "leader");
  await handles[2]?.whenSaved("device", { timeout: 5_000 });
  const body = handles[2]?.doc()?.body as string;
  for (const token of others) assert.equal(body.split(token).length, 2, `${token} is there, once`);
  await tabs[2]?.repo.close();

  const { repo } = await profile.open();
  const again = repo.space("s").find<Note>(id);
  await again.whenReady({ timeout: 5_000 });
  assert.equal(again.doc()?.body, body);
  await repo.close();
});

test("questions asked of a leader that goes are answered by the next", async () => {
  const profile = new Profile();
  const first = await profile.open();
  const second = await profile.open();
  const note = second.repo.space("s").create<Note>({ body: "x" });
  await note.whenSaved("device", { timeout: 5_000 });
  first.tab.crash();
  const history = await note.history();
  assert.equal(history.length, 1);
  await second.repo.close();
});

test("when an engine breaks, another tab's takes over and serves both, and people are told", async () => {
  const profile = new Profile();
  const first = await profile.open();
  const second = await profile.open();
  const mine = first.repo.space("s").create<Note>({ body: "" });
  const yours = second.repo.space("s").find<Note>(mine.id);
  await yours.whenReady({ timeout: 5_000 });
  const troubles: string[] = [];
  first.repo.on("trouble", ({ kind, message }) => troubles.push(`${kind}: ${message}`));
  first.tab.breakEngine();
  mine.change((d) => splice(d, ["body"], 0, 0, "a"));
  await eventually("the second leads, the first follows", () => second.repo.role === "leader" && first.repo.role === "follower");
  yours.change((d) => splice(d, ["body"], 0, 0, "b"));
  await eventually("both show both", () => [mine, yours].every((note) => /^(ab|ba)$/.test(note.doc()?.body ?? "")));
  await mine.whenSaved("device", { timeout: 5_000 });
  assert.match(troubles[0] ?? "", /^crash: the engine stopped.*started again/);
  await Promise.all([first.repo.close(), second.repo.close()]);
});

test("a tab that is alone replaces an engine that broke, and nothing is lost", async () => {
  const profile = new Profile();
  const { tab, repo } = await profile.open();
  const note = repo.space("s").create<Note>({ body: "" });
  await note.whenSaved("device", { timeout: 5_000 });
  const troubles: string[] = [];
  repo.on("trouble", ({ message }) => troubles.push(message));
  for (let n = 0; n < 4; n++) {
    tab.breakEngine();
    note.change((d) => splice(d, ["body"], d.body.length, 0, `<${n}>`));
    await eventually("it is told", () => troubles.length === n + 1);
    if (n === 3) break;
    await note.whenSaved("device", { timeout: 5_000 });
  }
  assert.equal(note.doc()?.body, "<0><1><2><3>");
  assert.match(troubles[2] ?? "", /started again/);
  assert.match(troubles[3] ?? "", /reload the page/);
  assert.equal(note.saved.device, false);
  tab.crash();

  const again = await profile.open();
  const same = again.repo.space("s").find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.equal(same.doc()?.body, "<0><1><2>");
  await again.repo.close();
});
