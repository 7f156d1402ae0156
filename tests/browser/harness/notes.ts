/** The notes app in a tab, as the one who sits before it uses it: by what is on the screen, and the keyboard. */

import assert from "node:assert/strict";
import type { Locator, Page } from "playwright-core";

/** How long anything may take that nothing stands in the way of. */
const PATIENCE_MS = 15_000;

/** One of a note's two editors. */
export type Field = "title" | "body";

/** A tab. */
export class Notes {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  /** The app in `page`, once it has opened. */
  static async of(page: Page): Promise<Notes> {
    const notes = new Notes(page);
    await notes.get("status").waitFor({ timeout: PATIENCE_MS });
    return notes;
  }

  get(testId: string): Locator {
    return this.page.getByTestId(testId);
  }

  /** The state that the status line shows, by its stable name. */
  async phase(): Promise<string> {
    return (await this.get("status").getAttribute("data-phase")) ?? "";
  }

  /** Waits until the status line shows one of these states. */
  async waitForPhase(phases: readonly string[], timeoutMs = PATIENCE_MS): Promise<string> {
    return this.until(`the status is ${phases.join(" or ")}`, async () => {
      const phase = await this.phase();
      return phases.includes(phase) ? phase : `:${phase}`;
    }, (phase) => !phase.startsWith(":"), timeoutMs);
  }

  /** Waits until all that is here is on the relay. */
  async waitForRelay(timeoutMs = PATIENCE_MS): Promise<void> {
    await this.waitForPhase(["relay"], timeoutMs);
  }

  /** A new note with this title and body, written by keyboard. */
  async write(title: string, body: string): Promise<void> {
    await this.get("create").click();
    await this.page.keyboard.type(title);
    await this.page.keyboard.press("Enter");
    if (body !== "") await this.page.keyboard.insertText(body);
    await this.until("the title is written", () => this.text("title"), (text) => text === title);
  }

  /** Opens the note of this headline. */
  async open(headline: string): Promise<void> {
    await this.page.locator(".note", { hasText: headline }).first().click({ timeout: PATIENCE_MS });
    await this.until(`“${headline}” is open`, () => this.page.title(), (title) => title.startsWith(headline));
  }

  /** The whole text of an editor, from the editor itself: the page holds only what is in view. */
  async text(field: Field = "body"): Promise<string> {
    return this.page.evaluate((name) => {
      const content = document.querySelector(`.${name}-editor .cm-content`) as { cmTile?: { root?: { view?: { state: { doc: { toString(): string } } } } } } | null;
      return content?.cmTile?.root?.view?.state.doc.toString() ?? "";
    }, field);
  }

  /** Where the caret is. */
  async caret(field: Field = "body"): Promise<number> {
    return this.page.evaluate((name) => {
      const content = document.querySelector(`.${name}-editor .cm-content`) as { cmTile?: { root?: { view?: { state: { selection: { main: { head: number } } } } } } } | null;
      return content?.cmTile?.root?.view?.state.selection.main.head ?? -1;
    }, field);
  }

  /** Puts the caret somewhere in the body, as a click would. */
  async place(at: number): Promise<void> {
    await this.page.locator(".body-editor .cm-content").focus();
    await this.page.evaluate((position) => {
      const content = document.querySelector(".body-editor .cm-content") as unknown as { cmTile: { root: { view: { dispatch(spec: object): void } } } };
      content.cmTile.root.view.dispatch({ selection: { anchor: position } });
    }, at);
  }

  /** Waits until the body reads so that `holds`. */
  async waitForText(story: string, holds: (text: string) => boolean, timeoutMs = PATIENCE_MS): Promise<string> {
    return this.until(story, () => this.text(), holds, timeoutMs);
  }

  /** Makes a link to the notebook, by the dialog, and answers it. */
  async share(level: "read" | "write", days: "" | "1" | "7" = "", note = ""): Promise<string> {
    await this.get("share").click();
    await this.get(`share-level-${level}`).check();
    await this.get("share-ends").selectOption(days);
    await this.get("share-for").fill(note);
    await this.get("make-link").click();
    const link = await this.until("the link is made", () => this.get("share-link").inputValue(), (value) => value !== "");
    await this.page.keyboard.press("Escape");
    return link;
  }

  /** Types at the end of the open note's body. */
  async append(words: string): Promise<void> {
    await this.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
    await this.page.keyboard.type(words);
  }

  /** Turns the work-offline switch, and waits until it shows. */
  async workOffline(isOffline: boolean): Promise<void> {
    const control = this.get("work-offline");
    const wanted = isOffline ? "true" : "false";
    if ((await control.getAttribute("aria-checked")) !== wanted) await control.click();
    await this.until("the switch is turned", () => control.getAttribute("aria-checked"), (checked) => checked === wanted);
  }

  /** Loads the page again, from wherever it comes. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.get("status").waitFor({ timeout: PATIENCE_MS });
  }

  /** Waits until a service worker keeps the app and has all of it. */
  async waitUntilKept(): Promise<void> {
    await this.page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await this.until("the page is served by the service worker", () => this.page.evaluate(() => navigator.serviceWorker.controller !== null), (is) => is);
  }

  /** Asks until the answer is right, and fails with the last one. */
  async until<T>(story: string, ask: () => Promise<T>, isRight: (answer: T) => boolean, timeoutMs = PATIENCE_MS): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const answer = await ask();
      if (isRight(answer)) return answer;
      if (Date.now() > end) assert.fail(`not within ${timeoutMs} ms: ${story}; instead ${JSON.stringify(answer)}`);
      await this.page.waitForTimeout(40);
    }
  }
}
