/** Presence in a space: this tab's, throttled, and everyone else's. */

import type { PeerId, Presence, PresenceState, SpaceId, Unsubscribe } from "./api.js";
import type { RepoOfTab } from "./repo.js";

/** The least time between two states sent, in milliseconds: what comes in between is replaced by what comes after. */
const INTERVAL_MS = 50;

/** Presence as this tab has it. */
export class PresenceOfTab implements Presence {
  states: readonly PresenceState[] = [];

  private readonly repo: RepoOfTab;
  private readonly space: SpaceId;
  private readonly onChange: (states: readonly PresenceState[]) => void;
  private readonly listeners = new Set<(states: readonly PresenceState[]) => void>();
  private readonly others = new Map<string, PresenceState>();
  /** What this tab shows, in JSON; nothing when it shows nothing. */
  private own: string | null = null;
  private sent: string | null = null;
  private sentAt = -INTERVAL_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private hidden = false;

  private readonly mayBeSeen: () => boolean;

  constructor(repo: RepoOfTab, space: SpaceId, mayBeSeen: () => boolean, onChange: (states: readonly PresenceState[]) => void) {
    this.repo = repo;
    this.space = space;
    this.mayBeSeen = mayBeSeen;
    this.onChange = onChange;
  }

  set(state: unknown): void {
    const json = JSON.stringify(state) as string | undefined;
    if (json === undefined) throw new TypeError("a presence must be something JSON can say");
    this.own = json;
    const wait = this.sentAt + INTERVAL_MS - performance.now();
    if (wait <= 0) this.send();
    else this.timer ??= setTimeout(() => this.send(), wait);
  }

  clear(): void {
    this.own = null;
    this.send();
  }

  on(_name: "change", listener: (states: readonly PresenceState[]) => void): Unsubscribe {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The page is going, perhaps to come back: a goodbye, without forgetting what was shown. */
  hide(): void {
    this.hidden = true;
    this.send();
  }

  /** The page is back. */
  unhide(): void {
    if (!this.hidden) return;
    this.hidden = false;
    this.send();
  }

  /** Whether this device may be seen, or see others, may have changed. */
  look(maySee: boolean): void {
    if (!maySee && this.others.size > 0) {
      this.others.clear();
      this.tell();
    }
    this.send();
  }

  /** Another engine than before: it knows of nobody yet. */
  reopen(): void {
    this.sent = null;
    if (this.others.size > 0) {
      this.others.clear();
      this.tell();
    }
    this.send();
  }

  /** Someone's presence came, changed or went. */
  handle(peer: string, instance: number, state: string | null): void {
    if (instance === this.repo.instance && peer === this.repo.peerId) return;
    const key = `${peer} ${instance}`;
    if (state === null) {
      if (!this.others.delete(key)) return;
    } else {
      let value: unknown;
      try {
        value = JSON.parse(state);
      } catch {
        return; // A peer shows what is not JSON: another program's, which means nothing to this one.
      }
      this.others.set(key, Object.freeze({ peerId: peer as PeerId, instance, state: value }));
    }
    this.tell();
  }

  private send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const state = this.hidden || !this.mayBeSeen() ? null : this.own;
    if (state === this.sent) return;
    this.sent = state;
    this.sentAt = performance.now();
    this.repo.command({ command: "setPresence", space: this.space, instance: this.repo.instance, state });
  }

  private tell(): void {
    this.states = Object.freeze([...this.others.values()]);
    this.onChange(this.states);
    for (const listener of [...this.listeners]) listener(this.states);
  }
}
