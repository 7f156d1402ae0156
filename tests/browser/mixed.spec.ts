import assert from "node:assert/strict";
import { type TestContext, after, before, test } from "node:test";
import type { DocHandle } from "@automerge/automerge-repo";
import type { Page } from "playwright-core";
import { Guest, type Note, bodyOf, showName } from "./harness/guest.ts";
import { type Letters, lettersOf, type Text } from "./harness/letters.ts";
import { packageSite } from "./harness/package-site.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";
import { assertEachOnce } from "./harness/typist.ts";

/** Words that each types at a time: some two seconds. */
const WORDS = 10;
const PATIENCE_MS = 20_000;

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

/** What a page of the npm package holds. */
interface Opened {
  repo: { setOnline(online: boolean): void; connections: readonly { state: string }[] };
  space: { presence: { set(state: unknown): void; states: readonly { state: { name?: string } }[] } };
  note: { doc(): Note; saved: { relays: number } };
  letters: Letters;
}

/** What such a page has from the start. */
interface PageOfPackage {
  driftline: { Repo: { open(options: object): Promise<any> } };
  lettersOf(name: string, text: Text): Letters;
}

/** Someone with a browser, in a page that has the note open by its URL in automerge-repo. */
class Reader {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  static async open(test: TestContext, site: string, name: string, url: string): Promise<Reader> {
    const profile = await Profile.open(test);
    const page = await profile.page(site);
    await page.evaluate(`globalThis.lettersOf = ${lettersOf}`);
    await page.evaluate(
      async ({ endpoint, name, url, ms }) => {
        const { driftline, lettersOf } = globalThis as unknown as PageOfPackage;
        const repo = await driftline.Repo.open({ relays: [endpoint] });
        const space = repo.space("automerge");
        const note = space.find(url);
        await note.whenReady({ timeout: ms });
        const text: Text = {
          read: () => note.doc().body,
          insert: (at, letters) => note.splice(["body"], at, 0, letters),
          onInsert: (listener) =>
            note.on("change", ({ source, patches }: { source: string; patches: { action: string; path: unknown[]; insert: string }[] }) => {
              if (source === "local") return;
              for (const { action, path, insert } of patches) if (action === "splice" && path[0] === "body") listener(Number(path[1]), insert.length);
            }),
        };
        Object.assign(globalThis, { repo, space, note, letters: lettersOf(name, text) });
      },
      { endpoint: relay.endpoint, name, url, ms: PATIENCE_MS },
    );
    return new Reader(page);
  }

  ask<T, A>(ask: (opened: Opened, argument: A) => T | Promise<T>, argument?: A): Promise<T> {
    return this.page.evaluate(`(${ask})(globalThis, ${JSON.stringify(argument)})`);
  }

  text(): Promise<string> {
    return this.ask(({ note }) => note.doc().body);
  }

  type(words: number): Promise<string[]> {
    return this.ask(({ letters }, words) => letters.type(words), words);
  }

  async setOnline(online: boolean): Promise<void> {
    await this.ask(({ repo }, online) => repo.setOnline(online), online);
    await until(`the page to be ${online ? "online" : "offline"}`, async () => (await this.ask(({ repo }) => repo.connections[0]?.state === "connected")) === online);
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > end) assert.fail(`waited ${PATIENCE_MS} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

test("Two browsers and two clients of automerge-repo type into one note, also while either side is offline. All four end with the same text, and every word stands in it once.", { timeout: 120_000 }, async (t) => {
  const guestUrl = `ws://localhost:${relay.port}/`;
  const [anna, ben] = [new Guest(t, guestUrl), new Guest(t, guestUrl)];
  await until("both to be connected", () => anna.isConnected && ben.isConnected);
  const note = anna.repo.create<Note>({ title: "Tides", body: "" });
  await until("the relay to have the note", () => anna.isReceived(note));
  const same = await ben.repo.find<Note>(note.url);
  const site = await packageSite(t);
  const [mara, ines] = await Promise.all([Reader.open(t, site, "m", note.url), Reader.open(t, site, "i", note.url)]);
  const guests: [Letters, Letters] = [lettersOf("a", bodyOf(note)), lettersOf("b", bodyOf(same))];
  const words: string[] = [];
  const allType = async (): Promise<void> => {
    const typed = await Promise.all([...guests.map((letters) => letters.type(WORDS)), mara.type(WORDS), ines.type(WORDS)]);
    words.push(...typed.flat());
  };

  await allType();

  for (const guest of [anna, ben]) guest.disconnect();
  await allType();
  assert.notEqual(await mara.text(), note.doc().body, "each side has words that the other lacks");
  for (const guest of [anna, ben]) guest.connect();
  await allType();

  await Promise.all([mara.setOnline(false), ines.setOnline(false)]);
  await allType();
  assert.notEqual(await mara.text(), await ines.text(), "each has words that the others lack");
  await Promise.all([mara.setOnline(true), ines.setOnline(true)]);
  await allType();

  await allEqual([note, same], [mara, ines], words);
  await until("everyone to know that the relay has it", async () => {
    const saved = await Promise.all([mara, ines].map((reader) => reader.ask(({ note }) => note.saved.relays > 0)));
    return saved.every((is) => is) && anna.isReceived(note) && ben.isReceived(same);
  });
  t.diagnostic(`${words.length} words of four typists`);
});

test("A browser and a client of automerge-repo see each other's presence in a note.", { timeout: 60_000 }, async (t) => {
  const anna = new Guest(t, `ws://localhost:${relay.port}/`);
  await until("the client to be connected", () => anna.isConnected);
  const note = anna.repo.create<Note>({ title: "Who is here", body: "" });
  await until("the relay to have the note", () => anna.isReceived(note));
  const mara = await Reader.open(t, await packageSite(t), "m", note.url);
  const shown = showName(t, note, "Anna Guest");
  await until("the page to show who the client is", () => mara.ask(({ space }) => space.presence.states.some(({ state }) => state.name === "Anna Guest")));
  await mara.ask(({ space }, document) => space.presence.set({ document, name: "Mara Page" }), note.documentId);
  await until("the client to show who is in the page", () => shown().includes("Mara Page"));
  await mara.page.close();
  await until("whoever leaves to be gone", () => !shown().includes("Mara Page"));
});

/** Waits until all four read the same, and all that was typed; then each word stands there once, and nothing else does. */
async function allEqual(handles: DocHandle<Note>[], readers: Reader[], words: string[]): Promise<void> {
  const length = words.reduce((sum, word) => sum + word.length + 1, 0);
  let texts: string[] = [];
  const read = async (): Promise<string[]> => [...handles.map((handle) => handle.doc().body), ...(await Promise.all(readers.map((reader) => reader.text())))];
  await until("all to have everything", async () => (texts = await read()).every((text) => text.length >= length && text === texts[0]));
  for (const text of texts) {
    assert.equal(text, texts[0]);
    assertEachOnce(text, words);
    assert.equal(text.length, length, "nothing else stands there");
  }
}
