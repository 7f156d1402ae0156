/** One's devices: a sheet that lists them, links another, and gives a lost one up; and one that waits on the device that is linked. */

import type { Ask, Device, InSpace, IntroductionsNow, PeerId, SpaceCard, TicketGiven, TicketLink } from "driftline";
import { exceptions, giverOf, spacedCode, whyNot } from "../model/devices.ts";
import { UNNAMED } from "../model/notebook.ts";
import { placeFragment } from "../model/places.ts";
import { h, text } from "./dom.ts";
import { icon } from "./icons.ts";
import { qrCode } from "./qr.ts";

/** What the sheets ask for. */
export interface DevicesSheetEvents {
  now(): Promise<IntroductionsNow>;
  link(): Promise<TicketLink>;
  takeBack(given: TicketLink): Promise<void>;
  confirm(asked: TicketGiven): Promise<readonly InSpace[]>;
  decline(asked: TicketGiven): Promise<void>;
  unlink(key: PeerId): Promise<readonly InSpace[]>;
  onCopied(what: string): void;
}

/** The sheet. */
export class DevicesSheet {
  readonly element: HTMLDialogElement;
  readonly #events: DevicesSheetEvents;
  readonly #heading = h("h2", { id: "devices-title" });
  readonly #body = h("div", { class: "sheet-body sheet-single", "aria-live": "polite" });
  /** The link that is shown. */
  #shown: TicketLink | null = null;
  /** The question that is asked, so that it is asked once. */
  #asked = "";
  /** How this device came to be linked, while that is said: its notebooks come by and by. */
  #linked: Ask | null = null;

  constructor(events: DevicesSheetEvents) {
    this.#events = events;
    this.element = h(
      "dialog",
      { class: "sheet sheet-narrow", "aria-labelledby": "devices-title", "data-testid": "devices-sheet" },
      h("div", { class: "sheet-head" }, this.#heading, h("button", { class: "bare", type: "button", "aria-label": "Close", onclick: () => this.element.close() }, icon("close"))),
      this.#body,
    );
    this.element.addEventListener("close", () => this.#leave());
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  /** Lists one's devices. */
  async open(): Promise<void> {
    this.#show();
    await this.#list();
  }

  /** Something has changed: a device may have asked. */
  update(now: IntroductionsNow): void {
    const asked = now.given.find(({ state, space }) => state === "asked" && space === undefined);
    if (asked !== undefined && asked.id !== this.#asked) return this.#question(asked);
    if (this.#linked !== null && this.element.open) return this.#listLinked(this.#linked, now.spaces);
    if (this.#shown === null || !this.element.open) return;
    const given = now.given.find(({ id }) => id === this.#shown?.id);
    if (given?.state === "twoAsked" || given?.state === "ended") {
      this.#shown = null;
      this.#say("No device was linked", given.state === "twoAsked" ? "Two devices have used the link, so somebody else has seen it. Neither was linked. Make a new one, and let nobody see it." : "The link has ended. Make a new one when the other device is at hand.");
    }
  }

  /** What the device that was linked to another is told. */
  showLinking(ask: Ask): void {
    this.#asked = ask.id;
    text(this.#heading, "Link this device");
    const code = h("p", { class: "device-code", "data-testid": "device-code", tabindex: "-1" }, spacedCode(ask.code ?? ""));
    this.#body.replaceChildren(
      h("p", {}, `Waiting for ${giverOf(ask)}. It asks whether this device is yours, and shows the same six digits:`),
      code,
      h("p", {}, "Say there that it is yours. You can close this: it goes on by itself."),
    );
    this.#show();
    code.focus();
  }

  /** ... and once it is. */
  showLinked(ask: Ask, spaces: readonly SpaceCard[]): void {
    this.#listLinked(ask, spaces);
    this.#linked = ask;
  }

  #listLinked(ask: Ask, spaces: readonly SpaceCard[]): void {
    const names = JSON.stringify(spaces);
    if (this.#linked === ask && this.#body.dataset["shown"] === names) return;
    this.#body.dataset["shown"] = names;
    const list = h("ul", { class: "menu-list", "data-testid": "linked-notebooks" }, ...spaces.map(({ space, name }) => h("li", {}, h("a", { href: placeFragment({ notebook: space, note: null }), onclick: () => this.element.close() }, icon("book"), h("span", {}, name === "" ? UNNAMED : name)))));
    this.#say("This device is linked", spaces.length === 0 ? `It is one of yours now, with ${giverOf(ask)}. There are no notebooks there yet; new ones show here.` : `It is one of yours now, with ${giverOf(ask)}. These notebooks are here; their notes are on the way:`, list);
  }

  /** ... or is not. */
  showRefused(ask: Ask): void {
    this.#say("This device was not linked", whyNot(ask));
  }

  async #list(error: string | null = null): Promise<void> {
    const { devices, given } = await this.#events.now();
    const asked = given.find(({ state, space }) => state === "asked" && space === undefined);
    if (asked !== undefined) return this.#question(asked);
    text(this.#heading, "Your devices");
    const live = devices.filter(({ lost }) => !lost);
    const rows = live.map((device) =>
      h("li", { "data-testid": "device" }, icon("person"), h("span", { class: "person-name" }, nameOf(device)), h("span", { class: "person-place" }, `since ${device.since.toLocaleDateString()}`), h("button", { class: "quiet small", type: "button", "data-testid": "unlink", "aria-label": `${nameOf(device)} is lost`, onclick: () => this.#askLost(device) }, "Lost…")),
    );
    const button = h("button", { class: "primary", type: "button", "data-testid": "link-device", onclick: () => void this.#link() }, icon("plus"), "Link another device");
    this.#body.replaceChildren(
      h("p", {}, live.length === 0 ? "This is the only device that is known as yours. Link your phone or another computer, and it has your notebooks, too, under a key of its own." : "Each has a key of its own, and your notebooks. One that is lost can be shut out."),
      h("ul", { class: "people-list members-list", "data-testid": "devices" }, ...rows),
      button,
      ...(error === null ? [] : [h("p", { class: "panel-error", role: "alert", "data-testid": "devices-error" }, error)]),
    );
    button.focus();
  }

  async #link(): Promise<void> {
    try {
      this.#shown = await this.#events.link();
    } catch (error) {
      return this.#list(`No link was made: ${error instanceof Error ? error.message : String(error)}.`);
    }
    const { link } = this.#shown;
    text(this.#heading, "Link another device");
    const field = h("input", { type: "text", readonly: true, id: "device-link", "data-testid": "device-link", onfocus: () => field.select() });
    field.value = link;
    const copy = h("button", { class: "primary", type: "button", onclick: () => void navigator.clipboard?.writeText(link).then(() => this.#events.onCopied("The link")) }, icon("copy"), "Copy");
    const code = qrCode(link, "The link as a QR code, for the camera of the other device");
    this.#body.replaceChildren(
      h("p", {}, "Open this link on the other device, by its camera or as you like. It works once, for a quarter of an hour, and lets nobody in before you have said yes here."),
      ...(code === null ? [] : [code as unknown as HTMLElement]),
      h("label", { for: "device-link", class: "visually-hidden" }, "Link for the other device"),
      h("div", { class: "field-row" }, field, copy),
      h("p", { role: "status" }, "Waiting for the other device…"),
    );
    copy.focus();
  }

  #question(asked: TicketGiven): void {
    this.#asked = asked.id;
    this.#shown = null;
    text(this.#heading, "Is this your device?");
    const yes = h("button", { class: "primary", type: "button", "data-testid": "device-yes", onclick: () => void this.#confirm(asked) }, "It is mine");
    this.#body.replaceChildren(
      h("p", {}, `${asked.name === "" ? "A device" : `“${asked.name}”`} wants to be linked. If it is yours it shows these six digits:`),
      h("p", { class: "device-code", "data-testid": "device-code" }, spacedCode(asked.code ?? "")),
      h("p", {}, "It will have all your notebooks, and may do in them what this device may."),
      h("div", { class: "question-buttons" }, yes, h("button", { class: "quiet", type: "button", "data-testid": "device-no", onclick: () => void this.#decline(asked) }, "It is not")),
    );
    this.#show();
    // Not the button that says yes: whoever is typing should not say it unread.
    this.#body.tabIndex = -1;
    this.#body.focus();
  }

  async #confirm(asked: TicketGiven): Promise<void> {
    try {
      const words = exceptions(await this.#events.confirm(asked), "passed on");
      await this.#list(words);
    } catch (error) {
      await this.#list(`It was not linked: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  async #decline(asked: TicketGiven): Promise<void> {
    await this.#events.decline(asked).catch(() => undefined);
    await this.#list();
  }

  #askLost(device: Device): void {
    text(this.#heading, "A lost device");
    const words = `Give up ${nameOf(device)}? It is shut out of every notebook where this device may do that. It keeps what it has, and gets nothing new.`;
    const yes = h("button", { class: "danger-button", type: "button", "data-testid": "unlink-really", onclick: () => void this.#unlink(device) }, "Shut it out");
    this.#body.replaceChildren(h("p", {}, words), h("div", { class: "question-buttons" }, yes, h("button", { class: "quiet", type: "button", onclick: () => void this.#list() }, "Keep")));
    yes.focus();
  }

  async #unlink(device: Device): Promise<void> {
    try {
      await this.#list(exceptions(await this.#events.unlink(device.key), "taken from it"));
    } catch (error) {
      await this.#list(`It was not shut out: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  #say(heading: string, words: string, ...more: HTMLElement[]): void {
    text(this.#heading, heading);
    const close = h("button", { class: "primary", type: "button", "data-testid": "devices-done", onclick: () => this.element.close() }, "Close");
    this.#body.replaceChildren(h("p", {}, words), ...more, close);
    this.#show();
    close.focus();
  }

  /** Opens it, also before there is a window around it. */
  #show(): void {
    if (!this.element.isConnected) document.body.append(this.element);
    if (!this.element.open) this.element.showModal();
  }

  /** A link that nobody can see any more is good for nothing. */
  #leave(): void {
    this.#body.replaceChildren();
    this.#linked = null;
    const shown = this.#shown;
    this.#shown = null;
    if (shown !== null) void this.#events.takeBack(shown).catch(() => undefined);
  }
}

function nameOf({ name, key }: Device): string {
  return name === "" ? `key ${key.slice(0, 8)}` : name;
}
