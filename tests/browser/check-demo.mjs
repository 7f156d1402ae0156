// Proves that a running demo works: two browsers, each with a profile of its own, write into one note and come to the same.
// `node check-demo.mjs http://127.0.0.1:8080/`, with CHROMIUM naming the browser if it is not the usual one.

import { chromium } from "playwright-core";

const address = process.argv[2];
if (address === undefined) {
  console.error("which demo? Give its address: node check-demo.mjs http://127.0.0.1:8080/");
  process.exit(2);
}
const PATIENCE_MS = 30_000;

const open = () =>
  chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

const browsers = await Promise.all([open(), open()]);
try {
  const [left, right] = await Promise.all(browsers.map((browser) => browser.newPage()));
  for (const page of [left, right]) page.setDefaultTimeout(PATIENCE_MS);
  const body = (page) => page.locator(".body-editor .cm-content");
  const reads = async (page, words) => {
    try {
      await body(page).filter({ hasText: words }).waitFor();
    } catch (error) {
      const status = await page.getByTestId("status").innerText();
      console.error(`a browser should read:\n  ${words}\nand reads:\n  ${await body(page).innerText()}\nwith the status:\n  ${status}`);
      throw error;
    }
  };

  // In a notebook that is open: whoever has its address may write.
  await left.goto(new URL(`#two-browsers-${Date.now()}`, address).href);
  await left.getByTestId("create").click();
  await left.keyboard.type("Two browsers");
  await left.keyboard.press("Enter");
  await left.keyboard.type("The first writes this.");
  await left.locator('[data-testid="status"][data-phase="relay"]').waitFor();
  await right.goto(left.url());
  await reads(right, "The first writes this.");
  await body(right).press("ControlOrMeta+End");
  await right.keyboard.type(" The second adds this.");
  await reads(left, "The first writes this. The second adds this.");

  // Both apart, and together again.
  for (const page of [left, right]) {
    await page.getByTestId("work-offline").click();
    await page.locator('[data-testid="status"][data-phase="offline"]').waitFor();
  }
  await body(left).press("ControlOrMeta+Home");
  await left.keyboard.type("Left, offline. ");
  await body(right).press("ControlOrMeta+End");
  await right.keyboard.type(" Right, offline.");
  for (const page of [left, right]) await page.getByTestId("work-offline").click();
  const wanted = "Left, offline. The first writes this. The second adds this. Right, offline.";
  await Promise.all([reads(left, wanted), reads(right, wanted)]);
  console.log(`Two browsers wrote into one note, apart and together, and both read:\n  ${wanted}`);
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
}
