/** Someone's browser: a real Chromium with a profile on disk, so that what is stored there is stored as it is for people. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type BrowserContext, type Page, chromium } from "playwright-core";
import { Notes } from "./notes.ts";

const EXECUTABLE = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-features=WebRtcHideLocalIpsWithMdns"];

type ContextOptions = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>;

/** A profile, and the browser that has it open. */
export class Profile {
  readonly context: BrowserContext;
  readonly #folder: string;
  readonly #errors: string[] = [];

  private constructor(context: BrowserContext, folder: string) {
    this.context = context;
    this.#folder = folder;
  }

  /** A new, empty one for the length of a test, which fails if a page of it says that something went wrong. */
  static async open(test: TestContext, options: ContextOptions = {}): Promise<Profile> {
    const folder = await mkdtemp(join(tmpdir(), "driftline-profile-"));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: EXECUTABLE,
      args: FLAGS,
      viewport: { width: 1_100, height: 760 },
      ...options,
    });
    const profile = new Profile(context, folder);
    test.after(() => profile.close());
    return profile;
  }

  /** A tab that shows the app at `url`, ready to be used. */
  async tab(url: string): Promise<Notes> {
    return Notes.of(await this.page(url));
  }

  /** A tab that shows `url`, whatever that is. */
  async page(url: string): Promise<Page> {
    const blank = this.context.pages().find((page) => page.url() === "about:blank");
    const page = blank ?? (await this.context.newPage());
    page.on("pageerror", (error) => this.#errors.push(String(error)));
    page.on("console", (message) => {
      // A refused connection is written to the console by the browser itself, and is what several tests bring about.
      if (message.type() === "error" && !/net::|WebSocket|Failed to load resource/.test(message.text())) this.#errors.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** Closes the browser and removes the profile. */
  async close(): Promise<void> {
    await this.context.close();
    await rm(this.#folder, { recursive: true, force: true });
    assert.deepEqual(this.#errors, [], "pages said that something went wrong");
  }
}
