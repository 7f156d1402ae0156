/** Someone who types words that are theirs alone, and looks after each key whether the caret is where it belongs. */

import assert from "node:assert/strict";
import type { Notes } from "./notes.ts";

/** A typist at one place of a note. */
export class Typist {
  readonly #notes: Notes;
  readonly #name: string;
  #count = 0;
  /** All that was typed since the last `begin`, as it must stand, unbroken, before the caret. */
  #run = "";
  readonly tokens: string[] = [];

  constructor(notes: Notes, name: string) {
    this.#notes = notes;
    this.#name = name;
  }

  /** Begins anew where the caret is. */
  begin(): void {
    this.#run = "";
  }

  /** Types words for so long, at so many keys a second; now and then a wrong key, and back. */
  async type(seconds: number, keysPerSecond: number): Promise<void> {
    const end = Date.now() + seconds * 1_000;
    let due = Date.now();
    const pace = async (): Promise<void> => {
      due += 1_000 / keysPerSecond;
      await this.#notes.page.waitForTimeout(Math.max(0, due - Date.now()));
    };
    while (Date.now() < end) {
      const token = `${this.#name}${String((this.#count += 1)).padStart(3, "0")}`;
      for (const key of token) await this.#press(key, pace);
      if (this.#count % 4 === 0) {
        await this.#press("#", pace);
        await this.#back(pace);
      }
      await this.#press(" ", pace);
      this.tokens.push(token);
    }
  }

  async #press(key: string, pace: () => Promise<void>): Promise<void> {
    await this.#notes.page.keyboard.press(key === " " ? "Space" : key);
    this.#run += key;
    await this.#look();
    await pace();
  }

  async #back(pace: () => Promise<void>): Promise<void> {
    await this.#notes.page.keyboard.press("Backspace");
    this.#run = this.#run.slice(0, -1);
    await this.#look();
    await pace();
  }

  /** What stands before the caret is what this typist typed, all of it and nothing else. */
  async #look(): Promise<void> {
    const before = await this.#notes.page.evaluate((length) => {
      type View = { state: { doc: { sliceString(from: number, to: number): string }; selection: { main: { head: number } } } };
      const content = document.querySelector(".body-editor .cm-content") as unknown as { cmTile: { root: { view: View } } };
      const { state } = content.cmTile.root.view;
      return state.doc.sliceString(Math.max(0, state.selection.main.head - length), state.selection.main.head);
    }, this.#run.length);
    assert.equal(before, this.#run, `${this.#name}'s caret has left ${this.#name}'s last letter`);
  }
}

/** Fails unless each of these stands in `text` exactly once. */
export function assertEachOnce(text: string, tokens: readonly string[]): void {
  for (const token of tokens) {
    const times = text.split(token).length - 1;
    assert.equal(times, 1, `“${token}” stands ${times} times in: ${text}`);
  }
}
