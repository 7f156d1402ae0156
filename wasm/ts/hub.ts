/**
 * A tab's hub: takes part in choosing the one that leads, leads when it is chosen, and passes messages on otherwise.
 *
 * Who holds the profile's lock leads; it runs the engine and owns store and sockets. When it goes, however it goes, the
 * browser hands the lock to the next hub that waits for it. Every hub also holds a lock of its own, which the leader
 * waits for: that is how it learns that a tab is gone. Where there are no locks, every tab is on its own.
 */

import { Leader } from "./leader.js";
import type { KeySurroundings } from "./keys.js";
import { type Locks, leaseLocks } from "./locks.js";
import { type BetweenHubs, drawNumber, type FromHub, type Say, type Start, type Tell, type ToHub } from "./protocol.js";
import type { StorageSurroundings } from "./storage.js";

/** What a hub finds around itself. */
export interface Surroundings extends StorageSurroundings, KeySurroundings {
  readonly locks: Locks | undefined;
  readonly openChannel: ((name: string) => BroadcastChannel) | undefined;
}

/** What there is on this thread. */
export function surroundings(): Surroundings {
  const navigator = globalThis.navigator as Navigator | undefined;
  // Node has channels too, but no profile that its processes share.
  const isBrowser = (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === undefined;
  const { indexedDB } = globalThis as { indexedDB?: IDBFactory };
  const leases = indexedDB === undefined ? undefined : leaseLocks(indexedDB);
  return {
    storage: navigator?.storage,
    indexedDB,
    // Missing in a page that came over plain HTTP from another machine.
    subtle: (globalThis.crypto as Crypto | undefined)?.subtle,
    locks: isBrowser ? ((navigator?.locks as Locks | undefined) ?? leases) : undefined,
    openChannel: isBrowser && typeof BroadcastChannel === "function" ? (name) => new BroadcastChannel(name) : undefined,
  };
}

/** One tab's hub. */
export class Hub {
  private readonly surroundings: Surroundings;
  private readonly post: (message: FromHub) => void;
  private begin: Start | undefined;
  private channel: BroadcastChannel | undefined;
  private leader: Leader | undefined;
  /** The leader's term, whoever that is. */
  private term: number | undefined;
  private readonly ending = new AbortController();
  /** Whether it holds a lock of its own. A leader that heard of it before would find the lock free, and take the tab for gone. */
  private isAlive = false;
  /** Lets go of the profile's lock. */
  private letGo: (() => void) | undefined;
  private readonly watched = new Set<number>();

  constructor(around: Surroundings, post: (message: FromHub) => void) {
    this.surroundings = around;
    this.post = post;
  }

  /** The tab says something. */
  handle(message: ToHub): void {
    switch (message.type) {
      case "start":
        this.begin = message;
        return this.start(message);
      case "say":
        if (message.term === this.term) this.say(message.term, message.say);
        return;
      case "close":
        void this.close();
    }
  }

  private start(start: Start): void {
    const { locks, openChannel } = this.surroundings;
    // What is kept nowhere is not shared either: each tab then keeps at least its own.
    if (locks === undefined || openChannel === undefined || start.storage !== "auto") {
      void this.lead(start);
      return;
    }
    const name = `driftline ${start.name}`;
    this.channel = openChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<BetweenHubs>) => this.handleHub(data);
    const { signal } = this.ending;
    const live = (): Promise<void> => {
      this.isAlive = true;
      this.tellHubs({ type: "who" });
      return this.untilEnd();
    };
    void locks.request(lockOf(name, start.tab), { signal }, live).catch(() => {});
    void this.compete(start, name, locks);
  }

  /** Waits for the profile's lock, and leads while it holds it. */
  private async compete(start: Start, name: string, locks: Locks): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      let isGranted = false;
      try {
        await locks.request(name, { signal }, async () => {
          isGranted = true;
          await this.lead(this.begin ?? start);
          if (this.leader === undefined) return;
          await new Promise<void>((resolve) => {
            this.letGo = resolve;
          });
        });
        return;
      } catch {
        if (signal.aborted) return;
        // There are no locks to be had after all, as in a page without an origin: this tab is on its own.
        if (!isGranted) return this.lead(start);
        // The lock was lost, which happens to a tab that slept. Another leads now; this one stands in line again.
        this.leader?.abandon();
        this.leader = undefined;
        this.term = undefined;
        this.tellHubs({ type: "who" });
      }
    }
  }

  private untilEnd(): Promise<void> {
    return new Promise((resolve) => this.ending.signal.addEventListener("abort", () => resolve()));
  }

  private async lead(start: Start): Promise<void> {
    const term = drawNumber();
    let leader: Leader;
    try {
      leader = await Leader.start(start, this.surroundings, {
        tell: (tab, tell) => this.tell(term, tab, tell),
        onCrash: (message) => this.onCrash(message),
      });
    } catch (error) {
      this.post({ type: "failed", message: error instanceof Error ? error.message : String(error) });
      return;
    }
    if (this.ending.signal.aborted) {
      // The tab was closed meanwhile, and nobody would ever end it.
      await leader.stop().catch(() => {});
      return;
    }
    this.leader = leader;
    // What was restored once is what is stored from now on.
    this.begin = { ...(this.begin ?? start), restore: undefined };
    this.term = term;
    this.post({ type: "leader", term, role: "leader" });
    this.tellHubs({ type: "leading", term });
  }

  /** The engine is no more: another tab's may take over, and then serves this one too. */
  private onCrash(message: string): void {
    this.leader = undefined;
    this.term = undefined;
    this.letGo?.();
    this.post({ type: "failed", message });
  }

  private say(term: number, say: Say): void {
    const tab = this.begin?.tab;
    if (tab === undefined) return;
    if (this.leader !== undefined) this.leader.handle(tab, say);
    else this.tellHubs({ type: "say", term, tab, say });
  }

  private tell(term: number, tab: number, tell: Tell): void {
    if (tab === this.begin?.tab) this.post({ type: "tell", term, tell });
    else this.tellHubs({ type: "tell", term, tab, tell });
  }

  private tellHubs(message: BetweenHubs): void {
    this.channel?.postMessage(message);
  }

  private handleHub(message: BetweenHubs): void {
    switch (message.type) {
      case "who":
        if (this.leader !== undefined && this.term !== undefined) this.tellHubs({ type: "leading", term: this.term });
        return;
      case "leading":
        if (!this.isAlive || this.leader !== undefined || this.term === message.term) return;
        if (this.begin?.restore !== undefined) {
          return this.post({ type: "failed", message: "another tab has these documents open: close it, and try again" });
        }
        this.term = message.term;
        return this.post({ type: "leader", term: message.term, role: "follower" });
      case "say":
        if (this.leader === undefined || message.term !== this.term) return;
        this.watch(message.tab);
        return this.leader.handle(message.tab, message.say);
      case "tell":
        if (message.tab !== this.begin?.tab || message.term !== this.term) return;
        if (message.tell.tell === "status" || message.tell.tell === "welcome") this.begin = { ...this.begin, online: message.tell.status.online };
        return this.post({ type: "tell", term: message.term, tell: message.tell });
    }
  }

  /** Waits for a tab's own lock, which it holds while it lives. */
  private watch(tab: number): void {
    const { locks } = this.surroundings;
    if (locks === undefined || this.watched.has(tab)) return;
    this.watched.add(tab);
    void locks
      .request(lockOf(`driftline ${this.begin?.name}`, tab), { signal: this.ending.signal }, async () => {
        this.watched.delete(tab);
        this.leader?.dropTab(tab);
      })
      .catch(() => {});
  }

  private async close(): Promise<void> {
    const leader = this.leader;
    this.leader = undefined;
    this.term = undefined;
    await leader?.stop().catch(() => {});
    this.letGo?.();
    this.ending.abort();
    this.channel?.close();
    this.post({ type: "closed" });
  }
}

function lockOf(name: string, tab: number): string {
  return `${name} tab ${tab}`;
}
