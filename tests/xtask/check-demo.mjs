// Opens the demo in two browsers that share nothing, writes in both, and sees them converge on one note.
//
// node check-demo.mjs ADDRESS

import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../browser/package.json", import.meta.url))("playwright-core");
const PATIENCE_MS = 30_000;
const address = process.argv[2];

/** A browser with a profile of its own, on the demo. */
async function open(name, url) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
  });
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 800 } })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => console.error(`${name}: ${error.stack ?? error}`));
  page.on("console", (message) => message.type() === "error" && console.error(`${name}: ${message.text()}`));
  await page.goto(url);
  return { name, browser, page, body: page.locator('[data-testid="body"] .cm-content, .cm-content[aria-label="Note"]').first() };
}

/** What a note's body reads. */
const read = async (window) => (await window.body.locator(".cm-line").allTextContents()).join("\n");

async function until(story, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`in ${PATIENCE_MS / 1000} s it did not happen that ${story}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(`  ${story}`);
}

async function write(window, text) {
  await window.body.click();
  await window.page.keyboard.press("Control+End");
  await window.page.keyboard.type(text, { delay: 20 });
}

const windows = [];
try {
  const anna = await open("the first browser", address);
  windows.push(anna);
  await anna.page.locator('[data-testid="create"]').first().click();
  await write(anna, "Bring bread.");
  const link = anna.page.url();
  const ben = await open("the second browser", link);
  windows.push(ben);
  await until("the second browser shows what the first wrote", async () => (await read(ben)).includes("Bring bread."));
  await Promise.all([write(anna, " And cheese."), write(ben, " And apples.")]);
  await until("both show what both wrote, and the same", async () => {
    const [a, b] = [await read(anna), await read(ben)];
    // Written at the same time at the same place: which comes first is the engine's to decide, but both agree.
    const letters = (text) => [...text].sort().join("");
    return a === b && letters(a) === letters("Bring bread. And cheese. And apples.");
  });
  console.log(`\nTwo browsers converged on:\n  ${await read(anna)}`);
} catch (error) {
  console.error(`\nThe browsers did not converge: ${error.message}`);
  for (const window of windows) console.error(`  ${window.name} shows: ${await read(window).catch(() => "nothing")}`);
  process.exitCode = 1;
} finally {
  await Promise.all(windows.map(({ browser }) => browser.close()));
}
