import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What axe finds wrong with the page as it is now. */
async function violations(notes: Notes): Promise<string[]> {
  const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await notes.page.evaluate(source);
  const found = await notes.page.evaluate(async (t) => {
    const { axe } = window as unknown as { axe: { run(options: object): Promise<{ violations: Violation[] }> } };
    return (await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })).violations;
  });
  return found.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `    ${node.html.slice(0, 200)}\n      ${node.failureSummary.replaceAll("\n", " ")}`).join("\n")}`);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing wrong in ${colorScheme} colours: with a note open, offline, in every panel, as a page, and with nothing there.`, { timeout: 120_000 }, async (t) => {
    const mara = await Profile.open(t, { colorScheme, reducedMotion: "reduce" });
    const notes = await mara.tab(relay.url);
    await notes.write("Everything", "## Head\n\n- [ ] task\n- item\n  - nested\n\n1. one\n\n> quote\n\n```\ncode\n```\n\n**bold** *it* ~~no~~ `code` [link](https://example.org)");
    await notes.waitForRelay();
    assert.equal(await notes.page.evaluate(() => document.documentElement.dataset["theme"]), colorScheme, "the colours follow the system");
    assert.deepEqual(await violations(notes), [], "a note");
    for (const panel of ["people", "share", "notebook", "status", "more", "writers"]) {
      await notes.get(panel).click();
      assert.deepEqual(await violations(notes), [], panel);
      await notes.page.keyboard.press("Escape");
    }
    await notes.get("open-help").click();
    assert.deepEqual(await violations(notes), [], "the keyboard sheet");
    await notes.page.keyboard.press("Escape");
    await notes.get("share").click();
    await notes.get("make-link").click();
    await notes.get("remove").click();
    assert.deepEqual(await violations(notes), [], "asked whether to take a link back");
    await notes.page.keyboard.press("Escape");
    await notes.get("notebook").click();
    await notes.get("back-up").click();
    await notes.get("backup-run").click();
    await notes.get("phrase").waitFor();
    assert.deepEqual(await violations(notes), [], "the recovery phrase");
    await notes.get("backup-done").click();
    await notes.get("notebook").click();
    await notes.get("come-back").click();
    assert.deepEqual(await violations(notes), [], "coming back");
    await notes.page.keyboard.press("Escape");
    await notes.get("notebook").click();
    await notes.get("devices-open").click();
    await notes.get("link-device").waitFor();
    assert.deepEqual(await violations(notes), [], "one's devices");
    await notes.get("link-device").click();
    await notes.get("device-link").waitFor();
    assert.deepEqual(await violations(notes), [], "a link for another device");
    const device = await (await Profile.open(t, { colorScheme, reducedMotion: "reduce" })).tab(await notes.get("device-link").inputValue());
    await notes.get("device-yes").waitFor();
    assert.deepEqual(await violations(notes), [], "asked whether a device is one's own");
    assert.deepEqual(await violations(device), [], "waiting to be linked");
    await notes.get("device-yes").click();
    await notes.get("unlink").click();
    assert.deepEqual(await violations(notes), [], "asked whether a device is lost");
    await notes.page.keyboard.press("Escape");
    await notes.get("read").click();
    assert.deepEqual(await violations(notes), [], "as a page");
    await notes.get("read").click();
    await notes.workOffline(true);
    await notes.get("search").fill("zzz");
    assert.deepEqual(await violations(notes), [], "offline, nothing found");
    await notes.get("search").fill("");
    const reader = await (await Profile.open(t, { colorScheme, reducedMotion: "reduce" })).tab(await notes.share("read"));
    await reader.get("access").waitFor();
    assert.deepEqual(await violations(reader), [], "for someone who may only read");
    await notes.page.goto(`${relay.url}#empty-${colorScheme}`);
    await notes.get("create-first").waitFor();
    assert.deepEqual(await violations(notes), [], "an empty notebook");
  });
}

test("Dark and light can be switched by hand, and the choice lasts.", async (t) => {
  const mara = await Profile.open(t, { colorScheme: "light" });
  const notes = await mara.tab(relay.url);
  const theme = (): Promise<string | undefined> => notes.page.evaluate(() => document.documentElement.dataset["theme"]);
  assert.equal(await theme(), "light");
  await notes.get("theme").click();
  await notes.get("theme").click();
  assert.equal(await theme(), "dark");
  await notes.reload();
  assert.equal(await theme(), "dark");
  await notes.get("theme").click();
  assert.equal(await theme(), "light", "and back to the system's");
});

test("By keyboard alone: find, write, walk the list, go offline, read the details, get help, and every stop on the way can be seen.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  const { keyboard } = notes.page;
  const focused = (): Promise<string> =>
    notes.page.evaluate(() => {
      const at = document.activeElement as HTMLElement | null;
      return at?.dataset["testid"] ?? at?.ariaLabel ?? at?.className ?? "";
    });
  await notes.until("a note is open", () => notes.text("title"), (title) => title !== "");

  await keyboard.press("ControlOrMeta+Alt+n");
  await keyboard.type("Typed");
  await keyboard.press("Enter");
  await keyboard.type("without a mouse");
  assert.equal(await notes.text(), "without a mouse");
  await keyboard.press("Escape");
  await notes.until("Escape leads to the list", focused, (at) => at === "note");
  await keyboard.press("ArrowDown");
  await notes.until("the next note is shown", () => notes.text("title"), (title) => title === "Welcome aboard");
  await keyboard.press("Home");
  await notes.until("and the first again", () => notes.text("title"), (title) => title === "Typed");
  await keyboard.press("Enter");
  await notes.until("Enter leads into the note", focused, (at) => at === "Note");

  await keyboard.press("ControlOrMeta+k");
  assert.equal(await focused(), "search");
  await keyboard.type("mouse");
  await keyboard.press("ArrowDown");
  await notes.until("down from the search is the first found", focused, (at) => at === "note");
  await keyboard.press("ControlOrMeta+Alt+o");
  await notes.waitForPhase(["offline"]);
  await keyboard.press("F6");
  await keyboard.press("F6");
  assert.equal(await focused(), "status");
  await keyboard.press("Enter");
  await notes.get("status-details").waitFor();
  await keyboard.press("Escape");
  assert.equal(await focused(), "status", "focus returns to the button");
  await keyboard.press("?");
  await notes.get("help").waitFor();
  await keyboard.press("Escape");
  await notes.get("help").waitFor({ state: "hidden" });
  await keyboard.press("ControlOrMeta+Alt+o");
  await notes.waitForRelay();

  // Once round with Tab: every stop has a name, is in sight, and shows that it has the focus.
  await notes.page.evaluate(() => document.querySelector<HTMLElement>(".skip")?.focus());
  const stops = new Set<string>();
  for (let step = 0; step < 24; step += 1) {
    await keyboard.press("Tab");
    const stop = await notes.page.evaluate(() => {
      const at = document.activeElement as HTMLElement;
      if (at === document.body) return null;
      const box = at.getBoundingClientRect();
      const style = getComputedStyle(at);
      const isEditor = at.isContentEditable;
      return {
        name: at.ariaLabel ?? at.innerText.trim() ?? "",
        isInSight: box.width > 0 && box.top >= -1 && box.left >= -1 && box.top < innerHeight,
        isMarked: isEditor || style.outlineStyle !== "none" || style.boxShadow !== "none",
        html: at.outerHTML.slice(0, 120),
      };
    });
    if (stop === null) break;
    assert.ok(stop.name !== "" && stop.isInSight && stop.isMarked, JSON.stringify(stop));
    stops.add(stop.name);
  }
  for (const name of ["Search notes", "Title", "Note", "Work offline"]) assert.ok([...stops].some((stop) => stop.includes(name)), `Tab reaches ${name}; it reached ${[...stops].join(" | ")}`);
});

test("A screen reader hears who comes, and that one has gone offline and where one's words are; and not every save.", { timeout: 60_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const notes = await mara.tab(relay.openNotebook());
  await notes.write("Heard", "Of.");
  await notes.waitForRelay();
  await notes.page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    new MutationObserver(() => said.push(document.querySelector('[data-testid="announcer"]')?.textContent ?? "")).observe(document.querySelector('[data-testid="announcer"]')!, { childList: true, characterData: true, subtree: true });
  });
  const said = (): Promise<string[]> => notes.page.evaluate(() => (window as unknown as { said: string[] }).said);
  await notes.page.waitForTimeout(3_200);
  await notes.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await notes.page.keyboard.type("A few words, saved many times over.", { delay: 20 });
  await notes.waitForRelay();
  await notes.page.waitForTimeout(2_500);
  assert.deepEqual(await said(), [], "saving goes without saying");
  const other = await ines.tab(notes.page.url());
  await other.waitForRelay();
  await notes.until("someone's coming is said", said, (all) => all.some((sentence) => / is here\.$/.test(sentence)));
  await notes.workOffline(true);
  await notes.until("going offline is said", said, (all) => all.some((sentence) => sentence === "Working offline, saved on this device."));
});

test("On a phone the list and the note are two screens, back leads to the list, and nothing sticks out.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  const notes = await mara.tab(relay.url);
  await notes.page.locator(".note", { hasText: "Welcome aboard" }).tap();
  await notes.page.locator(".title-editor .cm-content").waitFor();
  const overflow = (): Promise<number> => notes.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.equal(await overflow(), 0);
  await notes.page.goBack();
  await notes.page.locator(".note", { hasText: "Welcome aboard" }).waitFor();
  assert.equal(await overflow(), 0);
  await notes.page.locator(".note", { hasText: "Welcome aboard" }).tap();
  await notes.get("back").tap();
  await notes.page.locator(".note", { hasText: "Welcome aboard" }).waitFor();
  assert.deepEqual(await violations(notes), []);
});
