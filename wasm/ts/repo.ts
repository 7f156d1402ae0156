/** A repo, as one tab has it: routes what the leader tells to spaces and documents. */

import type { ConnectionStatus, DocumentId, FoundOptions, JoinOptions, Backup, PeerId, RelayAddress, Repo, RepoEvents, RepoOptions, RestoreOptions, SpaceId, StorageStatus, Trouble } from "./api.js";
import { Events } from "./events.js";
import type { HandleOfTab } from "./handle.js";
import { spaceIdOf } from "./ids.js";
import { IntroductionsOfTab } from "./introductions.js";
import { LettersOfTab } from "./letters.js";
import { type Link, openLink } from "./link.js";
import { type Act, type Command, drawNumber, type EngineEvent, type FromHub, type Question, type Say, type Status, type Tell } from "./protocol.js";
import { relayOf } from "./relays.js";
import { SpaceOfTab } from "./space.js";
import { persistenceIsQuiet, requestPersistence } from "./storage.js";

/** How long `close` waits for the store, in milliseconds, before it gives up on a disk that does not answer. */
const CLOSE_MS_MAX = 5_000;

/** How often a page replaces an engine that broke. */
const CRASHES_MAX = 3;

interface Asked {
  readonly question: Question;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A repo in this tab. */
export class RepoOfTab extends Events<RepoEvents> implements Repo {
  peerId = "" as PeerId;
  readonly instance = drawNumber();
  storage: StorageStatus = { kind: "memory", durable: false, persisted: false, isEmpty: true };
  online: boolean;
  connections: readonly ConnectionStatus[] = [];
  role: "leader" | "follower" = "follower";
  readonly spaces = new Map<SpaceId, SpaceOfTab>();
  /** Open documents by the numbers the engine knows their mirrors by. */
  readonly views = new Map<number, HandleOfTab<object>>();

  readonly introductions = new IntroductionsOfTab(this);
  readonly letters = new LettersOfTab(this);

  private readonly options: RepoOptions;
  private readonly link: Link;
  private crashes = 0;
  private restore: RestoreOptions | undefined;
  /** Relays that are kept connections to, by their addresses, which are passed on in links: without tokens. */
  relays: readonly string[];
  private readonly tokens = new Map<string, string>();
  /** The leader that is spoken to; nothing between two. */
  private term: number | undefined;
  /** What `setOnline` asked for and no leader has confirmed. */
  private wanted: boolean | undefined;
  private asked = new Map<number, Asked>();
  private questions = 0;
  private closed = false;
  private welcome: (() => void) | undefined;
  private fail: ((error: Error) => void) | undefined;
  private onClosed: (() => void) | undefined;
  private stopListening: () => void = () => {};

  async persist(): Promise<boolean> {
    const { storage } = this;
    if (!storage.durable || storage.persisted) return storage.persisted;
    const persisted = await requestPersistence();
    this.showStorage({ ...this.storage, persisted });
    return persisted;
  }

  /** Opens a repo. */
  static async open(options: RepoOptions = {}): Promise<Repo> {
    // A token that is none is told before anything is opened.
    options.relays?.forEach(relayOf);
    const repo = new RepoOfTab(options, await openLink(options));
    try {
      await new Promise<void>((resolve, reject) => {
        repo.welcome = resolve;
        repo.fail = reject;
        repo.begin();
      });
    } catch (error) {
      repo.stopListening();
      repo.link.post({ type: "close" });
      repo.link.end();
      throw error;
    }
    repo.fail = undefined;
    repo.restore = undefined;
    if (persistenceIsQuiet()) void repo.persist();
    return repo;
  }

  private constructor(options: RepoOptions, link: Link) {
    super();
    this.options = options;
    this.restore = options.restore;
    this.link = link;
    this.online = options.online ?? true;
    this.relays = [...new Set((options.relays ?? []).map((relay) => this.noteRelay(relay)))];
  }

  /** A relay's address, once its token is noted. */
  private noteRelay(relay: string | RelayAddress): string {
    const { url, token } = relayOf(relay);
    if (token !== undefined) this.tokens.set(url, token);
    return url;
  }

  setOnline(online: boolean): void {
    this.wanted = online;
    this.command({ command: "setOnline", online });
  }

  addRelay(relay: string | RelayAddress): void {
    const endpoint = this.noteRelay(relay);
    if (!this.relays.includes(endpoint)) this.relays = [...this.relays, endpoint];
    const token = this.tokens.get(endpoint);
    this.command({ command: "addEndpoint", endpoint, ...(token === undefined ? {} : { token }) });
  }

  /** Keeps connections to what a link names. */
  addRelays(endpoints: readonly string[]): void {
    for (const endpoint of endpoints) if (/^wss?:\/\//.test(endpoint) && !this.relays.includes(endpoint)) this.addRelay(endpoint);
  }

  removeRelay(relay: string): void {
    const endpoint = relayOf(relay).url;
    this.tokens.delete(endpoint);
    this.relays = this.relays.filter((relay) => relay !== endpoint);
    this.command({ command: "removeEndpoint", endpoint });
  }

  space(nameOrId: string): SpaceOfTab {
    if (this.closed) throw new Error("this repo is closed");
    const id = spaceIdOf(nameOrId);
    let space = this.spaces.get(id);
    if (space === undefined) this.spaces.set(id, (space = new SpaceOfTab(this, id)));
    return space;
  }

  async foundSpace({ sealed = false }: FoundOptions = {}): Promise<SpaceOfTab> {
    const { space } = (await this.act({ act: "foundSpace", sealed })) as { space: string };
    return this.opened(space);
  }

  async join(link: string | URL, { note = "" }: JoinOptions = {}): Promise<SpaceOfTab> {
    const { space, relays } = (await this.act({ act: "join", link: String(link), note })) as { space: string; relays: string[] };
    this.addRelays(relays);
    return this.opened(space);
  }

  async heldSpaces(): Promise<readonly SpaceId[]> {
    return (await this.ask({ ask: "spaces" })) as SpaceId[];
  }

  async backup(): Promise<Backup> {
    return (await this.ask({ ask: "backup" })) as Backup;
  }

  async checkRestore(restore: RestoreOptions): Promise<void> {
    await this.ask({ ask: "checkRestore", restore });
  }

  private async opened(id: string): Promise<SpaceOfTab> {
    const space = this.space(id);
    await space.whenReady();
    return space;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.command({ command: "pushNow" });
    if (this.term !== undefined) await Promise.race([this.ask({ ask: "settled" }), sleep(CLOSE_MS_MAX)]).catch(() => {});
    this.closed = true;
    this.stopListening();
    this.say({ say: "goodbye" });
    const closed = new Promise<void>((resolve) => {
      this.onClosed = resolve;
      this.link.post({ type: "close" });
    });
    await Promise.race([closed, sleep(CLOSE_MS_MAX)]);
    this.link.end();
    for (const space of this.spaces.values()) for (const handle of [...space.handles.values()]) handle.end();
    for (const { reject } of this.asked.values()) reject(new Error("this repo is closed"));
    this.asked.clear();
    this.emit("close", undefined);
    this.silence();
  }

  /** Tells the engine to do something; between two leaders nothing, because the next is told everything anew. */
  command(command: Command): void {
    this.say({ say: "command", command });
  }

  /** Has the engine do something; answered once it is durable. */
  act(act: Act): Promise<unknown> {
    return this.ask({ ask: "act", act });
  }

  /** Asks the engine something. */
  ask(question: Question): Promise<unknown> {
    if (this.closed) return Promise.reject(new Error("this repo is closed"));
    return new Promise((resolve, reject) => {
      const id = ++this.questions;
      this.asked.set(id, { question, resolve, reject });
      this.say({ say: "ask", id, question });
    });
  }

  private startHub(): void {
    const { name = "driftline", storage = "auto", wasm } = this.options;
    this.link.post({
      type: "start", tab: this.instance, name, storage, online: this.online, restore: this.restore, wasm: wasm instanceof URL ? wasm.href : wasm,
    });
  }

  private begin(): void {
    this.link.listen((message) => this.handle(message));
    this.startHub();
    if (typeof addEventListener === "function") this.listenToPage();
  }

  private say(say: Say): void {
    if (this.term !== undefined) this.link.post({ type: "say", term: this.term, say });
  }

  private handle(message: FromHub): void {
    switch (message.type) {
      case "leader":
        this.term = message.term;
        if (this.role !== message.role) {
          this.role = message.role;
          this.emit("role", this.role);
        }
        return this.onLeader();
      case "tell":
        if (message.term === this.term) this.handleTell(message.tell);
        return;
      case "closed":
        return this.onClosed?.();
      case "failed":
        return this.onFailed(message.message);
    }
  }

  /** The engine broke. It is replaced, unless that has not helped: an edit that breaks it would come again each time. */
  private onFailed(message: string): void {
    if (this.fail !== undefined) return this.fail(new Error(message));
    this.term = undefined;
    this.crashes++;
    const isRenewed = this.crashes <= CRASHES_MAX && this.link.renew();
    if (isRenewed) this.startHub();
    const remedy = isRenewed ? "it is started again" : "reload the page to start it again";
    this.emit("trouble", { kind: "crash", message: `${message} (${remedy}; what was not saved is kept in this page meanwhile)` });
  }

  /** A leader that knows nothing of this tab: it is told everything. */
  private onLeader(): void {
    const relays = this.relays.map((url) => {
      const token = this.tokens.get(url);
      return token === undefined ? { url } : { url, token };
    });
    this.say({ say: "hello", relays });
    if (this.wanted !== undefined) this.setOnline(this.wanted);
    for (const space of this.spaces.values()) space.reopen();
    for (const [id, { question }] of this.asked) this.say({ say: "ask", id, question });
    this.letters.handleLeader();
  }

  private handleTell(tell: Tell): void {
    switch (tell.tell) {
      case "welcome":
        this.handleStatus(tell.status);
        this.welcome?.();
        this.welcome = undefined;
        return;
      case "status":
        return this.handleStatus(tell.status);
      case "documents":
        return this.spaces.get(tell.space as SpaceId)?.handleDocuments(tell.documents, true);
      case "access":
        return this.spaces.get(tell.space as SpaceId)?.handleAccess(tell.access);
      case "events":
        return this.handleEvents(tell.events);
      case "answer": {
        const asked = this.asked.get(tell.id);
        this.asked.delete(tell.id);
        if (tell.error === undefined) asked?.resolve(tell.value);
        else asked?.reject(new Error(tell.error));
      }
    }
  }

  private handleStatus(status: Status): void {
    this.peerId = status.peerId as PeerId;
    this.showStorage({ ...status.storage, persisted: status.storage.persisted || (this.storage.persisted && status.storage.durable) });
    if (status.online === this.wanted) this.wanted = undefined;
    if (status.online !== this.online) {
      this.online = status.online;
      this.emit("online", this.online);
    }
    if (JSON.stringify(status.connections) !== JSON.stringify(this.connections)) {
      this.connections = Object.freeze(status.connections);
      this.emit("connections", this.connections);
    }
  }

  private showStorage(storage: StorageStatus): void {
    if (JSON.stringify(storage) === JSON.stringify(this.storage)) return;
    this.storage = Object.freeze(storage);
    this.emit("storage", this.storage);
  }

  private handleEvents(events: readonly EngineEvent[]): void {
    // A store that opens tells of each document: listeners hear of all of them at once.
    const added = new Map<string, string[]>();
    for (const event of events) {
      if (event.event !== "documentAdded") this.handleEvent(event);
      else if (!added.get(event.space)?.push(event.document)) added.set(event.space, [event.document]);
    }
    for (const [space, documents] of added) this.spaces.get(space as SpaceId)?.handleDocuments(documents);
  }

  private handleEvent(event: EngineEvent): void {
    switch (event.event) {
      case "viewUpdated":
        return this.views.get(event.view)?.handleUpdate(event);
      case "saved":
        for (const space of this.spaces.values()) space.handles.get(event.document as DocumentId)?.handleSaved(event);
        return;
      case "spaceSync":
        return this.spaces.get(event.space as SpaceId)?.handleSync(event);
      case "membersChanged":
        return this.spaces.get(event.space as SpaceId)?.handleMembers();
      case "introductionsChanged":
        return this.introductions.handleChange();
      case "letterArrived":
      case "letterForgotten":
      case "letterSent":
      case "letterRefused":
      case "letterboxEmptied":
        return this.letters.handle(event);
      case "presence":
        return this.spaces.get(event.space as SpaceId)?.presence.handle(event.peer, event.instance, event.state);
      case "editRefused":
        if (event.view !== null && this.views.get(event.view)?.handleRefused(event.number) === false) return;
        return this.emit("trouble", { kind: "editRefused", document: event.document as DocumentId, message: event.reason });
      case "trouble": {
        const document = event.document === null ? {} : { document: event.document as DocumentId };
        return this.emit("trouble", { kind: event.kind as Trouble["kind"], message: event.message, ...document });
      }
    }
  }

  /** The page comes and goes, and so does its network. */
  private listenToPage(): void {
    const changed = (): void => this.command({ command: "networkChanged" });
    const visible = (): void => {
      if (document.visibilityState === "visible") changed();
      else this.command({ command: "pushNow" });
    };
    const hide = (): void => {
      this.command({ command: "pushNow" });
      for (const space of this.spaces.values()) space.presence.hide();
    };
    const show = (): void => {
      for (const space of this.spaces.values()) space.presence.unhide();
      changed();
    };
    addEventListener("online", changed);
    addEventListener("offline", changed);
    addEventListener("pagehide", hide);
    addEventListener("pageshow", show);
    if (typeof document !== "undefined") document.addEventListener("visibilitychange", visible);
    this.stopListening = () => {
      removeEventListener("online", changed);
      removeEventListener("offline", changed);
      removeEventListener("pagehide", hide);
      removeEventListener("pageshow", show);
      if (typeof document !== "undefined") document.removeEventListener("visibilitychange", visible);
    };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer: unknown = setTimeout(resolve, ms);
    (timer as { unref?: () => void }).unref?.();
  });
}
