/**
 * The engine, for all tabs of the profile: hands their commands on, and each event to the tabs it concerns.
 *
 * It keeps what each tab has open, so that a tab which is gone leaves nothing behind: no view, no presence, no space
 * that nobody looks at.
 */

import type { ConnectionStatus, PeerId, RelayAddress, StorageStatus } from "./api.js";
import { Connections } from "./connections.js";
import { loadEngine } from "./engine.js";
import { Host } from "./host.js";
import { dropKey, type KeySurroundings, openKey } from "./keys.js";
import { type Medium, memoryMedium } from "./media.js";
import { restoreOnto } from "./restore.js";
import { webSocketMaker } from "./node.js";
import type { Command, EngineEvent, Question, Say, Start, Status, Tell } from "./protocol.js";
import { SentLetters } from "./sent-letters.js";
import { openMedium, reasonOf, statusOf, type StorageSurroundings } from "./storage.js";

/** How a leader reaches tabs, and whom it tells that it is no more. */
export interface LeaderListener {
  tell(tab: number, tell: Tell): void;
  onCrash(message: string): void;
}

/** What one tab has open. */
interface Tab {
  readonly views: Map<number, { document: string; space: string }>;
  readonly spaces: Set<string>;
  /** Spaces it shows a presence in. */
  readonly presences: Set<string>;
  /** As which instance it shows them. */
  instance: number;
}

/** The store was found, and cannot be used. */
class StoreUnusable extends Error {}

/** How many refusals are kept of spaces that no tab has open. */
const EARLY_MAX = 16;

/** One engine at work for several tabs. */
export class Leader {
  private readonly host: Host;
  private readonly listener: LeaderListener;
  private storage: StorageStatus;
  private readonly connections: Connections;
  /** What relays are shown that want a token, by their addresses. Nobody else is told: not the engine, nor the tabs. */
  private readonly tokens = new Map<string, string>();
  private readonly tabs = new Map<number, Tab>();
  private peerId = "";
  private online: boolean;
  private onReady: (() => void) | undefined;
  private onUnusable: ((message: string) => void) | undefined;

  /** Opens the store and starts the engine; ready once it knows who it is. */
  static async start(start: Start, surroundings: StorageSurroundings & KeySurroundings, listener: LeaderListener): Promise<Leader> {
    const [medium] = await Promise.all([openMedium(start.storage, start.name, surroundings), loadEngine(start.wasm)]);
    if (start.restore !== undefined) {
      try {
        await restoreOnto(medium, start.restore, () => dropKey(surroundings, start.name));
      } catch (error) {
        medium.close();
        throw error;
      }
    }
    try {
      return await Leader.startOn(medium, start, surroundings, listener);
    } catch (error) {
      if (!(error instanceof StoreUnusable)) throw error;
      // What is stored is left as it is, for a later version or an expert.
      const warning = `Nothing is kept on this device now, because what is stored on it cannot be used: ${error.message}`;
      return await Leader.startOn(memoryMedium(warning), start, surroundings, listener);
    }
  }

  private static async startOn(medium: Medium, start: Start, surroundings: StorageSurroundings & KeySurroundings, listener: LeaderListener): Promise<Leader> {
    const [makeSocket, storage] = await Promise.all([webSocketMaker(), statusOf(medium, surroundings.storage)]);
    const unusable = (error: unknown): never => {
      throw new StoreUnusable(reasonOf(error));
    };
    const { key, journal } = await openKey(surroundings, start.name, medium).catch(unusable);
    return new Promise((resolve, reject) => {
      const leader: Leader = new Leader(start, storage, listener, (own) =>
        new Host(journal, key, medium, (endpoint) => makeSocket(endpoint, own().tokens.get(endpoint)), {
          onEvents: (events) => own().handleEvents(events),
          onDial: (endpoint) => own().connections.handleDial(endpoint),
          onWantsToken: (endpoint) => own().connections.handleWantsToken(endpoint),
          onCrash: (message) => {
            reject(new Error(message));
            listener.onCrash(message);
          },
        }),
      );
      leader.onReady = () => resolve(leader);
      leader.onUnusable = (message) => {
        reject(new StoreUnusable(message));
        void leader.host.stop();
      };
    });
  }

  private constructor(start: Start, storage: StorageStatus, listener: LeaderListener, makeHost: (own: () => Leader) => Host) {
    this.listener = listener;
    this.storage = Object.freeze(storage);
    this.online = start.online;
    this.connections = new Connections(start.online, () => this.tellStatus());
    this.host = makeHost(() => this);
    if (!start.online) this.host.command({ command: "setOnline", online: false });
  }

  /** How the engine and its connections stand. */
  get status(): Status {
    return { peerId: this.peerId, storage: this.storage, online: this.online, connections: this.connections.all as ConnectionStatus[] };
  }

  /** A tab says something. */
  handle(tabId: number, say: Say): void {
    if (say.say === "goodbye") return this.dropTab(tabId);
    if (say.say === "hello") return this.onHello(tabId, say.relays);
    const tab = this.tabs.get(tabId);
    if (tab === undefined) return; // It has said goodbye, or not yet hello in this term.
    if (say.say === "command") return this.onCommand(tabId, tab, say.command);
    this.ask(tabId, tab, say.id, say.question);
  }

  private ask(tabId: number, tab: Tab, id: number, question: Question): void {
    const document = "document" in question ? question.document : undefined;
    if (document !== undefined && !this.loaded.has(document) && isViewing(tab, document)) {
      // It is on its way into memory; until it is there, it has no answers.
      this.asked.push({ document, ask: () => this.ask(tabId, tab, id, question) });
      return;
    }
    this.answer(question).then(
      (value) => {
        this.listener.tell(tabId, { tell: "answer", id, value });
        if (question.ask === "act" && question.act.act === "post" && question.act.what.post === "forget") {
          this.handleEvents([{ event: "letterForgotten", letter: question.act.what.letter }]);
        }
      },
      (error: unknown) => this.listener.tell(tabId, { tell: "answer", id, error: error instanceof Error ? error.message : String(error) }),
    );
  }

  private async answer(question: Question): Promise<unknown> {
    if (question.ask !== "sentLetters") return this.host.ask(question);
    return this.sentLetters.with((await this.host.ask({ ask: "unsentLetters" })) as string[]);
  }

  /** What became of letters, for tabs that are opened later. */
  private readonly sentLetters = new SentLetters();

  /** A tab is gone. */
  dropTab(tabId: number): void {
    const tab = this.tabs.get(tabId);
    if (tab === undefined) return;
    for (const view of [...tab.views.keys()]) this.closeView(tab, view);
    for (const space of [...tab.presences]) this.setPresence(tab, space, null);
    this.tabs.delete(tabId);
    for (const space of tab.spaces) this.closeSpace(space);
  }

  /** Ends the engine, when everything is written. */
  async stop(): Promise<void> {
    // Tabs that are still there go on with the next engine: they hear what this one has made of their edits, and it keeps that.
    for (const tab of this.tabs.values()) for (const space of [...tab.presences]) this.setPresence(tab, space, null);
    await this.host.stop();
  }

  /** Ends the engine at once, writing nothing more: another leads already. */
  abandon(): void {
    this.host.abandon();
  }

  private onHello(tabId: number, relays: readonly RelayAddress[]): void {
    this.dropTab(tabId);
    this.tabs.set(tabId, { views: new Map(), spaces: new Set(), presences: new Set(), instance: 0 });
    for (const { url, token } of relays) this.addEndpoint(url, token);
    this.listener.tell(tabId, { tell: "welcome", status: this.status });
  }

  private onCommand(tabId: number, tab: Tab, command: Command): void {
    switch (command.command) {
      case "addEndpoint":
        return this.addEndpoint(command.endpoint, command.token);
      case "removeEndpoint":
        this.tokens.delete(command.endpoint);
        this.host.command(command);
        return this.connections.remove(command.endpoint);
      case "setOnline":
        this.online = command.online;
        this.host.command(command);
        return this.connections.setOnline(command.online);
      case "openSpace":
        return this.openSpace(tabId, tab, command.space);
      case "closeSpace":
        tab.spaces.delete(command.space);
        return this.closeSpace(command.space);
      case "openView":
        tab.views.set(command.view, { document: command.document, space: command.space });
        this.host.command(command);
        return this.tellSaved(tabId, command.document);
      case "closeView":
        return this.closeView(tab, command.view);
      case "setPresence":
        tab.instance = command.instance;
        return this.setPresence(tab, command.space, command.state);
      default:
        return this.host.command(command);
    }
  }

  private addEndpoint(endpoint: string, token: string | undefined): void {
    const isOther = token !== undefined && this.tokens.get(endpoint) !== token;
    if (token !== undefined) this.tokens.set(endpoint, token);
    if (this.connections.add(endpoint)) return this.host.command({ command: "addEndpoint", endpoint });
    // What waits to be dialled again is dialled now, with that.
    if (isOther) this.host.command({ command: "networkChanged" });
  }

  private openSpace(tabId: number, tab: Tab, space: string): void {
    const isOpen = [...this.tabs.values()].some((other) => other.spaces.has(space));
    tab.spaces.add(space);
    if (!isOpen) this.host.command({ command: "openSpace", space });
    const early = this.early.find((message) => message.includes(space));
    if (early !== undefined) this.refusals.set(space, early);
    this.early = this.early.filter((message) => !message.includes(space));
    this.listener.tell(tabId, { tell: "documents", space, documents: this.host.documents(space) });
    this.tellAccess(space, [tabId]);
    const events = [...(this.last.get(space)?.values() ?? [])];
    if (events.length > 0) this.listener.tell(tabId, { tell: "events", events });
  }

  private closeSpace(space: string): void {
    if ([...this.tabs.values()].some((tab) => tab.spaces.has(space))) return;
    this.host.command({ command: "closeSpace", space });
    this.last.delete(space);
    this.refusals.delete(space);
  }

  /** Of spaces that a relay or a peer does not sync with this device: why. */
  private readonly refusals = new Map<string, string>();
  /** Refusals of spaces that no tab has open yet: who joins one is connected before the answer is on the disk, and the page opens it after that. */
  private early: string[] = [];

  private tellAccess(space: string, tabs: Iterable<number> = this.tabs.keys()): void {
    const access = this.host.access(space);
    if (access === undefined) return;
    const refusal = this.refusals.get(space);
    for (const tab of tabs) {
      if (!this.tabs.get(tab)?.spaces.has(space)) continue;
      this.listener.tell(tab, { tell: "access", space, access: refusal === undefined ? access : { ...access, refusal } });
    }
  }

  /** A refusal says in its sentence of which space it is. */
  private noteRefusal(message: string): void {
    const spaces = new Set([...this.tabs.values()].flatMap((tab) => [...tab.spaces]));
    let isEarly = true;
    for (const space of spaces) {
      if (!message.includes(space)) continue;
      isEarly = false;
      this.refusals.set(space, message);
      this.tellAccess(space);
    }
    if (isEarly) this.early = [message, ...this.early].slice(0, EARLY_MAX);
  }

  private closeView(tab: Tab, view: number): void {
    const document = tab.views.get(view)?.document;
    tab.views.delete(view);
    this.host.command({ command: "closeView", view });
    if (document === undefined || [...this.tabs.values()].some((other) => isViewing(other, document))) return;
    this.loaded.delete(document);
    this.asked = this.asked.filter((asked) => asked.document !== document);
  }

  private setPresence(tab: Tab, space: string, state: string | null): void {
    if (state === null) tab.presences.delete(space);
    else tab.presences.add(space);
    this.host.command({ command: "setPresence", space, instance: tab.instance, state });
  }

  /** Documents that are in memory. */
  private readonly loaded = new Set<string>();
  /** Questions about documents that are not yet. */
  private asked: { document: string; ask: () => void }[] = [];

  private onLoaded(document: string): void {
    if (this.loaded.has(document)) return;
    this.loaded.add(document);
    const due = this.asked.filter((asked) => asked.document === document);
    this.asked = this.asked.filter((asked) => asked.document !== document);
    for (const { ask } of due) ask();
  }

  /** Of each space, the last that was told of its sync and of each presence: for tabs that open it later. */
  private readonly last = new Map<string, Map<string, EngineEvent>>();

  private remember(space: string, key: string, event: EngineEvent | undefined): void {
    let kept = this.last.get(space);
    if (kept === undefined) this.last.set(space, (kept = new Map()));
    if (event === undefined) kept.delete(key);
    else kept.set(key, event);
  }

  private tellSaved(tabId: number, document: string): void {
    const saved = this.host.saved(document);
    if (saved !== undefined) this.listener.tell(tabId, { tell: "events", events: [{ event: "saved", ...saved }] });
  }

  /** Each event to whom it concerns, in order, as one message a tab. */
  private handleEvents(events: EngineEvent[]): void {
    const perTab = new Map<number, EngineEvent[]>();
    for (const event of events) {
      this.note(event);
      for (const [id, tab] of this.tabs) {
        if (!concerns(event, tab)) continue;
        let list = perTab.get(id);
        if (list === undefined) perTab.set(id, (list = []));
        list.push(event);
      }
    }
    for (const [id, list] of perTab) this.listener.tell(id, { tell: "events", events: list });
  }

  private note(event: EngineEvent): void {
    switch (event.event) {
      case "ready":
        this.peerId = event.peer;
        this.storage = Object.freeze({ ...this.storage, isEmpty: event.documents === 0 });
        this.onReady?.();
        return;
      case "documentAdded":
        if (!this.storage.isEmpty) return;
        this.storage = Object.freeze({ ...this.storage, isEmpty: false });
        return this.tellStatus();
      case "trouble":
        if (event.kind === "storeOpen") this.onUnusable?.(event.message);
        if (event.kind === "forbidden" && event.document === null) this.noteRefusal(event.message);
        return;
      case "letterSent":
      case "letterRefused":
        this.sentLetters.handle(event);
        return;
      case "accessChanged":
        this.refusals.delete(event.space);
        return this.tellAccess(event.space);
      case "membersChanged":
        // Perhaps for longer than before.
        return this.tellAccess(event.space);
      case "viewUpdated":
        // Answer number 0 is a stored view, told before the document is loaded.
        return event.number === 0 ? undefined : this.onLoaded(event.document);
      case "spaceSync":
        if (event.peers > 0 && this.refusals.delete(event.space)) this.tellAccess(event.space);
        return this.remember(event.space, "sync", event);
      case "presence":
        return this.remember(event.space, `${event.peer} ${event.instance}`, event.state === null ? undefined : event);
      case "peerConnected":
        if (event.endpoint !== null) this.connections.handleConnected(event.endpoint, event.peer as PeerId, event.relay);
        return;
      case "peerDisconnected":
        if (event.endpoint !== null) this.connections.handleDisconnected(event.endpoint, event.reason, event.retryMs);
    }
  }

  private tellStatus(): void {
    for (const tab of this.tabs.keys()) this.listener.tell(tab, { tell: "status", status: this.status });
  }
}

function isViewing(tab: Tab, document: string): boolean {
  return [...tab.views.values()].some((view) => view.document === document);
}

function concerns(event: EngineEvent, tab: Tab): boolean {
  switch (event.event) {
    case "viewUpdated":
      return tab.views.has(event.view);
    case "editRefused":
      return event.view !== null && tab.views.has(event.view);
    case "saved":
      return isViewing(tab, event.document);
    case "documentAdded":
    case "spaceSync":
    case "presence":
    case "membersChanged":
      return tab.spaces.has(event.space);
    case "trouble":
    case "introductionsChanged":
    case "letterArrived":
    case "letterForgotten":
    case "letterSent":
    case "letterRefused":
    case "letterboxEmptied":
      return true;
    default:
      return false;
  }
}
