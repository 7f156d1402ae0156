/** Coming in by links for a single use, and one's devices: what is asked and answered behind the window's back, and what it then shows. */

import { type Ask, type IntroductionsNow, type Repo, type Space, type SpaceId, spaceIdOf, ticketIn } from "driftline";
import { deviceName, giverOf, listCards, whyNot } from "./model/devices.ts";
import { appAddress, forgetRecent, loadRecent, relayEndpoint, saveFurtherRelays } from "./model/places.ts";
import type { DevicesSheetEvents } from "./view/devices-sheet.ts";
import type { Shell } from "./view/shell.ts";

/** What is asked of the window. */
export interface IntroducingEvents {
  /** What one is called. */
  person(): string;
  /** Shows a notebook. */
  enter(notebook: string): void;
  refresh(): void;
}

/** Everything about it. */
export class Introducing {
  readonly #repo: Repo;
  readonly #storage: Storage | null;
  readonly #events: IntroducingEvents;
  #shell!: Shell;
  #now: IntroductionsNow = { given: [], asked: [], devices: [], spaces: [] };
  /** Whether what has changed is being looked at, and whether it has changed since. */
  #isLooking = false;
  #isStale = false;
  /** The name that other devices were last told a notebook has. */
  #told = "";

  constructor(repo: Repo, storage: Storage | null, events: IntroducingEvents) {
    this.#repo = repo;
    this.#storage = storage;
    this.#events = events;
  }

  /** Begins to look, once there is a window. */
  begin(shell: Shell): void {
    this.#shell = shell;
    this.#repo.introductions.on("change", () => void this.#look());
    void this.#look();
  }

  /** What the sheet of one's devices asks for. */
  get sheet(): Omit<DevicesSheetEvents, "onCopied"> {
    const { introductions } = this.#repo;
    return {
      now: () => introductions.now(),
      link: () => introductions.linkDevice({ name: deviceName(this.#events.person()), app: appAddress(new URL(location.href)) }),
      takeBack: ({ id }) => introductions.takeBack(id),
      confirm: ({ id }) => introductions.confirm(id, loadRecent(this.#storage).map(({ notebook, name }) => ({ space: spaceIdOf(notebook), name, relays: this.#relays() }))),
      decline: ({ id }) => introductions.decline(id),
      unlink: (key) => introductions.unlink(key),
    };
  }

  /** How links to a notebook for one person stand. */
  async given(space: SpaceId): Promise<IntroductionsNow["given"]> {
    return (await this.#repo.introductions.now()).given.filter((given) => given.space === space);
  }

  /** Who is asked to let this device into a notebook; nobody where nobody is. */
  waitedFor(space: string): string | null {
    const ask = this.#now.asked.find((each) => each.space === space && each.state === "waiting");
    return ask === undefined ? null : giverOf(ask);
  }

  /** Tells one's other devices what a notebook is called. */
  tell(space: Space, name: string): void {
    const told = `${space.id} ${name}`;
    if (told === this.#told || this.#now.devices.every(({ lost }) => lost)) return;
    this.#told = told;
    void this.#repo.introductions.passOn({ space: space.id, name, relays: this.#relays() }).catch(() => undefined);
  }

  /** Asks by a link. What it says is a secret, and does not stay in the address. Answers which notebook to show meanwhile. */
  async ask(link: string): Promise<SpaceId | null> {
    const isDevice = ticketIn(link)?.kind === "device";
    const id = await this.#repo.introductions.ask(link, { name: isDevice ? deviceName(this.#events.person()) : this.#events.person() });
    this.#now = await this.#repo.introductions.now();
    const ask = this.#now.asked.find((each) => each.id === id);
    if (ask === undefined) return null;
    this.#keepRelays();
    if (isDevice) this.#shell.devices.showLinking(ask);
    void this.#look();
    return ask.space ?? null;
  }

  /** Looks what has changed, once at a time. */
  async #look(): Promise<void> {
    this.#isStale = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        this.#now = await this.#repo.introductions.now();
        await this.#show();
      }
    } catch {
      // The repo is closed, or the engine is replaced: it tells anew.
    } finally {
      this.#isLooking = false;
    }
  }

  async #show(): Promise<void> {
    const { spaces, asked } = this.#now;
    for (const relay of spaces.flatMap(({ relays }) => relays)) if (/^wss?:\/\//.test(relay)) this.#repo.addRelay(relay);
    const added = listCards(this.#storage, spaces);
    if (spaces.length > 0) this.#keepRelays();
    for (const ask of asked) if (ask.state !== "waiting") await this.#settle(ask);
    if (added.length > 0) this.#shell.announcer.say(added.length === 1 ? "A notebook came from another device of yours." : `${added.length} notebooks came from another device of yours.`);
    this.#shell.devices.update(this.#now);
    this.#shell.share.update();
    this.#events.refresh();
  }

  /** Says what became of asking, once. */
  async #settle(ask: Ask): Promise<void> {
    const { toast, announcer, devices } = this.#shell;
    const isIn = ask.state === "in";
    if (ask.space === undefined) {
      if (isIn) devices.showLinked(ask, this.#now.spaces);
      else devices.showRefused(ask);
    } else if (isIn) {
      announcer.say(`${giverOf(ask)} let you in.`);
      toast.show(`${giverOf(ask)} let you in.`, { label: "Open", run: () => this.#events.enter(ask.space as string) });
    } else {
      forgetRecent(this.#storage, ask.space);
      toast.show(whyNot(ask), null, true);
    }
    await this.#repo.introductions.forget(ask.id);
  }

  #keepRelays(): void {
    const own = relayEndpoint(new URL(location.href));
    saveFurtherRelays(this.#storage, this.#repo.connections.map(({ endpoint }) => endpoint).filter((endpoint) => endpoint !== own));
  }

  #relays(): string[] {
    return this.#repo.connections.map(({ endpoint }) => endpoint).slice(0, 4);
  }
}
