import assert from "node:assert/strict";
import { type TestContext, after, before, test } from "node:test";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";
import { Typist, assertEachOnce } from "./harness/typist.ts";

/** How long the two typists go on: a minute where the promise is proved, less where time is short. */
const TYPING_SECONDS = Number(process.env["DRIFTLINE_TYPING_SECONDS"] ?? 15);

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

/** Two people with a browser each, on the same new note. */
async function two(t: TestContext, body: string): Promise<{ left: Notes; right: Notes }> {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.openNotebook());
  await left.write("Together", body);
  await left.waitForRelay();
  const right = await ines.tab(left.page.url());
  await right.waitForText("the note has arrived", (text) => text === body);
  return { left, right };
}

test("Two people write into one note at the same time. Both see all of it, and the same.", async (t) => {
  const { left, right } = await two(t, "One line.\n\nAnother line.");
  await left.place(9);
  await right.place(24);
  await Promise.all([left.page.keyboard.type(" From the left: abcdefghij.", { delay: 15 }), right.page.keyboard.type(" From the right: klmnopqrst.", { delay: 15 })]);
  const wanted = "One line. From the left: abcdefghij.\n\nAnother line. From the right: klmnopqrst.";
  await left.waitForText("all of it is on the left", (text) => text === wanted);
  await right.waitForText("all of it is on the right", (text) => text === wanted);
});

test("Each sees the other's name and caret, and both stay where their owners have them.", async (t) => {
  const { left, right } = await two(t, "Here and there.");
  await right.get("people").click();
  await right.get("own-name").fill("Ines Aarden");
  await right.page.keyboard.press("Enter");
  await right.page.keyboard.press("Escape");
  await right.place(4);
  await left.page.locator(".remote-caret-name", { hasText: "Ines Aarden" }).waitFor();
  await right.page.keyboard.type(" I am");
  // The caret's place in the text of the line it stands in, as the reader sees it.
  const seen = (): Promise<string> =>
    left.page.evaluate(() => {
      const caret = document.querySelector(".remote-caret");
      let before = "";
      for (let node = caret?.previousSibling ?? null; node; node = node.previousSibling) before = (node.textContent ?? "") + before;
      return before;
    });
  await left.until("the caret is behind what its owner wrote", seen, (before) => before === "Here I am");
  await left.place(0);
  await left.page.keyboard.type("Well: ");
  await left.until("the caret moves along with what is written before it", seen, (before) => before === "Well: Here I am");
  await right.page.close();
  await left.until("whoever leaves takes their caret along", () => left.page.locator(".remote-caret").count(), (count) => count === 0);
});

/** Whether all words are there, each with the space that was typed behind it: that may come with the next frame. */
function hasAll(text: string, tokens: readonly string[]): boolean {
  return tokens.every((token) => text.includes(`${token} `));
}

test(`Two type in one paragraph for ${TYPING_SECONDS} s at ten keys a second each. No caret leaves its owner's last letter, no letter is lost or doubled, and the relay holds the same.`, { timeout: (TYPING_SECONDS + 90) * 1_000 }, async (t) => {
  const start = "It was low tide when  and also  came to the pier.";
  const { left, right } = await two(t, start);
  await left.place(start.indexOf("  and") + 1);
  await right.place(start.indexOf("  came") + 1);
  const [a, b] = [new Typist(left, "m"), new Typist(right, "i")];
  await Promise.all([a.type(TYPING_SECONDS, 10), b.type(TYPING_SECONDS, 10)]);
  // And once more, now both at the very same place.
  const end = await left.waitForText("the left has everything", (text) => hasAll(text, [...a.tokens, ...b.tokens]));
  await right.waitForText("both read the same", (text) => text === end);
  await Promise.all([left.place(end.length), right.place(end.length)]);
  for (const typist of [a, b]) typist.begin();
  await Promise.all([a.type(TYPING_SECONDS / 3, 10), b.type(TYPING_SECONDS / 3, 10)]);
  const tokens = [...a.tokens, ...b.tokens];
  const leftText = await left.waitForText("the left has everything", (text) => hasAll(text, tokens));
  const rightText = await right.waitForText("both read the same", (text) => text === leftText);
  assertEachOnce(leftText, tokens);
  const rest = tokens.reduce((text, token) => text.replace(`${token} `, ""), leftText);
  t.diagnostic(`${tokens.length} words of two typists, ${leftText.length} letters`);
  assert.equal(rest, start, "what was there before is untouched, and nothing else was added");
  await Promise.all([left.waitForRelay(), right.waitForRelay()]);
  const [space, note] = new URL(left.page.url()).hash.slice(1).split("/");
  const held = JSON.parse(await relay.doc("export", note ?? "", "--space", space ?? "", "--as", "json")) as { body: string };
  assert.equal(held.body, rightText, "the relay's copy reads the same");
});

test("Undo takes back one's own words and leaves the other's.", async (t) => {
  const { left, right } = await two(t, "Shared.");
  // What was written before the page was loaded is nobody's to undo.
  await left.reload();
  await left.waitForText("the note is back", (text) => text === "Shared.");
  await left.place(7);
  await left.page.keyboard.type(" Mine.");
  await right.waitForText("mine has arrived", (text) => text === "Shared. Mine.");
  await right.place(0);
  await right.page.keyboard.type("Theirs. ");
  await left.waitForText("theirs has arrived", (text) => text === "Theirs. Shared. Mine.");
  await left.page.locator(".body-editor .cm-content").focus();
  for (let press = 0; press < 8; press += 1) await left.page.keyboard.press("ControlOrMeta+z");
  await left.waitForText("only mine is gone", (text) => text === "Theirs. Shared.");
  await right.waitForText("there too", (text) => text === "Theirs. Shared.");
});
