// A browser profile in this process: tabs that share a database, locks and channels, and can be closed without a word.

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { Repo, type RepoOptions } from "driftline";
import { Hub } from "#dist/hub.js";
import { leaseLocks } from "#dist/locks.js";
import type { FromHub, ToHub } from "#dist/protocol.js";

(globalThis as { IDBKeyRange?: unknown }).IDBKeyRange = IDBKeyRange;

interface Waiting {
  readonly tab: ProfileTab;
  readonly grant: () => Promise<unknown>;
}

/** What the tabs of a profile share. */
export class Profile {
  readonly indexedDB = new IDBFactory();
  readonly channels = new Set<TabChannel>();
  /** Whether its tabs must make do without the browser's locks. */
  readonly leases: boolean;
  /** What seals its keys; nothing as in a page that came over plain HTTP. */
  subtle: SubtleCrypto | undefined = crypto.subtle;
  clock = (): number => Date.now();

  constructor({ leases = false } = {}) {
    this.leases = leases;
  }

  private readonly held = new Map<string, ProfileTab>();
  private readonly waiting = new Map<string, Waiting[]>();

  /** Opens a tab with a repo in it. */
  async open(options: RepoOptions = {}): Promise<{ tab: ProfileTab; repo: Repo }> {
    const tab = new ProfileTab(this);
    const repo = await Repo.open({ worker: () => tab.worker(), ...options });
    return { tab, repo };
  }

  request(tab: ProfileTab, name: string, grant: () => Promise<unknown>): void {
    const queue = this.waiting.get(name) ?? [];
    this.waiting.set(name, [...queue, { tab, grant }]);
    this.next(name);
  }

  /** Whatever the tab holds or waits for is let go. */
  release(tab: ProfileTab): void {
    for (const [name, queue] of this.waiting) this.waiting.set(name, queue.filter((entry) => entry.tab !== tab));
    for (const [name, holder] of [...this.held]) {
      if (holder !== tab) continue;
      this.held.delete(name);
      this.next(name);
    }
  }

  private next(name: string): void {
    const queue = this.waiting.get(name) ?? [];
    const [first] = queue;
    if (this.held.has(name) || first === undefined) return;
    this.waiting.set(name, queue.slice(1));
    this.held.set(name, first.tab);
    setTimeout(() => {
      void first.grant().finally(() => {
        if (this.held.get(name) !== first.tab) return;
        this.held.delete(name);
        this.next(name);
      });
    });
  }
}

/** A channel as tabs have it. */
class TabChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly tab: ProfileTab;
  readonly name: string;

  constructor(tab: ProfileTab, name: string) {
    this.tab = tab;
    this.name = name;
    tab.profile.channels.add(this);
  }

  postMessage(data: unknown): void {
    if (this.tab.isGone) return;
    const copy = structuredClone(data);
    for (const other of this.tab.profile.channels) {
      if (other !== this && other.name === this.name) setTimeout(() => other.tab.isGone || other.onmessage?.({ data: copy }));
    }
  }

  close(): void {
    this.tab.profile.channels.delete(this);
  }
}

/** One tab. */
export class ProfileTab {
  readonly profile: Profile;
  isGone = false;
  /** How long what it asks for of the browser's locks takes to get there. */
  lockDelayMs = 0;
  private hub: Hub | undefined;

  constructor(profile: Profile) {
    this.profile = profile;
  }

  /** Gone without a word, as a tab is that crashes. */
  crash(): void {
    this.isGone = true;
    // What this process cannot do to a thread, it does to what runs on it.
    (this.hub as unknown as { leader?: { host: { end(): void } } } | undefined)?.leader?.host.end();
    for (const channel of [...this.profile.channels]) if (channel.tab === this) channel.close();
    this.profile.release(this);
  }

  /** The next command ends the engine as a bug in it would. */
  breakEngine(): void {
    const { host } = (this.hub as unknown as { leader: { host: { engine: { handleCommand(json: string): void } } } }).leader;
    host.engine.handleCommand = () => {
      throw new WebAssembly.RuntimeError("unreachable");
    };
  }

  worker(): Worker {
    this.isGone = false;
    const life = { isOver: false };
    const worker = {
      onmessage: null as ((event: { data: FromHub }) => void) | null,
      onerror: null,
      postMessage: (message: ToHub) => {
        const copy = structuredClone(message);
        setTimeout(() => life.isOver || this.isGone || hub.handle(copy));
      },
      terminate: () => {
        life.isOver = true;
        this.crash();
      },
    };
    const locks = {
      request: (name: string, options: { signal?: AbortSignal }, grant: () => Promise<unknown>) =>
        new Promise<void>((resolve, reject) => {
          options.signal?.addEventListener("abort", () => reject(new Error("aborted")));
          const ask = (): void =>
            this.profile.request(this, name, async () => {
              if (options.signal?.aborted) return;
              await grant();
              resolve();
            });
          if (this.lockDelayMs > 0) setTimeout(ask, this.lockDelayMs);
          else ask();
        }),
    };
    const hub = new Hub(
      {
        storage: undefined,
        subtle: this.profile.subtle,
        indexedDB: this.profile.indexedDB as unknown as globalThis.IDBFactory,
        locks: this.profile.leases ? leaseLocks(this.profile.indexedDB as unknown as globalThis.IDBFactory, () => this.profile.clock()) : locks,
        openChannel: (name) => new TabChannel(this, name) as unknown as BroadcastChannel,
      },
      (message) => {
        const copy = structuredClone(message);
        setTimeout(() => life.isOver || this.isGone || worker.onmessage?.({ data: copy }));
      },
    );
    this.hub = hub;
    return worker as unknown as Worker;
  }
}
