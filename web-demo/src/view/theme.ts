/** Light, dark, or as the system has it; the page's `data-theme` says which, and the choice is kept in this browser. */

import { h } from "./dom.ts";
import { icon, type IconName } from "./icons.ts";

type Choice = "auto" | "light" | "dark";

const KEY = "driftline-notes:theme";
const CHOICES: Record<Choice, { next: Choice; icon: IconName; label: string }> = {
  auto: { next: "light", icon: "auto", label: "Colours follow the system" },
  light: { next: "dark", icon: "sun", label: "Light colours" },
  dark: { next: "auto", icon: "moon", label: "Dark colours" },
};

/** The button that goes round the choices. */
export class ThemeSwitch {
  readonly element = h("button", { class: "bare", type: "button", "data-testid": "theme", onclick: () => this.next() });
  readonly #storage: Storage | null;
  #choice: Choice;

  constructor(storage: Storage | null) {
    this.#storage = storage;
    const saved = read(storage);
    this.#choice = saved === "light" || saved === "dark" ? saved : "auto";
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#apply());
    this.#apply();
  }

  /** Goes on to the next choice, and says which. */
  next(): string {
    this.#choice = CHOICES[this.#choice].next;
    try {
      this.#storage?.setItem(KEY, this.#choice);
    } catch {
      // The choice lasts as long as the page.
    }
    this.#apply();
    return CHOICES[this.#choice].label;
  }

  #apply(): void {
    const isDark = this.#choice === "dark" || (this.#choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
    document.querySelector('meta[name="theme-color"]')?.setAttribute("content", isDark ? "#0d1517" : "#eef2f0");
    const { icon: name, label } = CHOICES[this.#choice];
    this.element.replaceChildren(icon(name));
    this.element.ariaLabel = `${label}. Change`;
    this.element.title = label;
  }
}

function read(storage: Storage | null): string | null {
  try {
    return storage?.getItem(KEY) ?? null;
  } catch {
    return null;
  }
}
