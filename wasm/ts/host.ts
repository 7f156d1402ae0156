/**
 * The pump: one engine, its sockets, its medium and its timer, on one thread.
 *
 * What happens is told to the engine at once; what it wants is asked for in a task of its own, so that many things which
 * happened in one go (a burst of keys, of frames) cost one write and one frame.
 */

import { type Driver, EngineHost, takePanic } from "./engine.js";
import type { Area, Medium } from "./media.js";
import type { Backup, RestoreOptions } from "./api.js";
import type { Act, Command, EngineAccess, EngineEvent, EngineSaved, Question } from "./protocol.js";
import { HOLDS_DOCUMENTS, restoredFrom } from "./restore.js";
import { Socket } from "./socket.js";
import { reasonOf } from "./storage.js";

/** What a host tells. */
export interface HostListener {
  onEvents(events: EngineEvent[]): void;
  /** An endpoint is being dialled. */
  onDial(endpoint: string): void;
  /** The relay there wants a token, and was shown none that is good there. Said before the engine tells that the connection is gone. */
  onWantsToken(endpoint: string): void;
  /** The engine stopped, and does nothing any more. */
  onCrash(message: string): void;
}

/** How long it is until the journal is written again a little more, in milliseconds. */
const TIDY_MS = 15;

/** Longest time that one timer may be set for, in milliseconds. */
const TIMER_MS_MAX = 0x7fff_ffff;

/** One engine at work. */
export class Host implements Driver {
  private readonly engine: EngineHost;
  private readonly medium: Medium;
  private readonly listener: HostListener;
  private readonly makeSocket: (endpoint: string) => WebSocket;
  private readonly sockets = new Map<number, Socket>();
  private connections = 0;
  private events: EngineEvent[] = [];
  private dials: string[] = [];
  private disconnects: { connection: number; reason: string }[] = [];
  private toStore: { area: Area; at: number; bytes: Uint8Array } | undefined;
  private isScheduled = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tidying: ReturnType<typeof setTimeout> | undefined;
  /** Whether something was written since the journal was last found tidy. */
  private isUntidy = true;
  private isOver = false;
  private idle: (() => void)[] = [];

  constructor(journal: readonly [Uint8Array, Uint8Array], key: Uint8Array | undefined, medium: Medium, makeSocket: (endpoint: string) => WebSocket, listener: HostListener) {
    this.medium = medium;
    this.listener = listener;
    this.makeSocket = makeSocket;
    const seed = crypto.getRandomValues(new Uint8Array(32));
    const [first, second] = medium.write === undefined ? [undefined, undefined] : journal;
    this.engine = new EngineHost(seed, first, second, false, key);
    this.wake();
  }

  /** Tells the engine to do something. */
  command(command: Command): void {
    this.guard(() => {
      try {
        this.engine.handleCommand(JSON.stringify(command));
      } catch (error) {
        if (isPanic(error)) throw error;
        const message = `the engine did not understand a command (${command.command}): ${reasonOf(error)}`;
        this.events.push({ event: "trouble", kind: "refused", document: null, connection: null, message });
      }
    });
  }

  /** The documents held in a space. */
  documents(space: string): string[] {
    return this.read(() => JSON.parse(this.engine.documents(space)) as string[]) ?? [];
  }

  /** How saved a document is. */
  saved(document: string): EngineSaved | undefined {
    const json = this.read(() => this.engine.saved(document));
    return json === undefined ? undefined : (JSON.parse(json) as EngineSaved);
  }

  /** Answers a question; throws, with a sentence, where it has no answer. */
  async ask(question: Question): Promise<unknown> {
    if (this.isOver) throw new Error("the engine has stopped");
    if (question.ask === "settled") return this.settled();
    try {
      if (question.ask === "spaces") return JSON.parse(this.engine.spaces());
      if (question.ask === "checkRestore") return await this.checkRestore(question.restore);
      if (question.ask === "backup") return await this.backup();
      if (question.ask === "act") return await this.carryOut(question.act);
      if (question.ask === "export") return this.engine.exportDocument(question.document);
      return JSON.parse(this.engine.ask(JSON.stringify(question)));
    } catch (error) {
      if (isPanic(error)) this.crash(error);
      throw error;
    }
  }

  /** What this device may do in a space. */
  access(space: string): EngineAccess | undefined {
    return this.read(() => JSON.parse(this.engine.ask(JSON.stringify({ ask: "access", space }))) as EngineAccess);
  }

  private async checkRestore(restore: RestoreOptions): Promise<void> {
    if (this.medium.write === undefined) throw new Error("nothing is kept on this device: there is nowhere to restore to");
    if ((JSON.parse(this.engine.spaces()) as string[]).some((space) => this.documents(space).length > 0)) throw new Error(HOLDS_DOCUMENTS);
    restoredFrom(restore).free();
  }

  private async backup(): Promise<Backup> {
    if (this.medium.write === undefined) throw new Error("nothing is kept on this device, so that there is nothing to back up");
    await this.settled();
    return { file: this.engine.backup(crypto.getRandomValues(new Uint8Array(24))), phrase: this.engine.phrase() };
  }

  /** Does something, and answers once it is durable: a space that was founded and forgotten would be lost with all that is in it. */
  private async carryOut(act: Act): Promise<unknown> {
    const answer = JSON.parse(this.engine.act(JSON.stringify(act))) as unknown;
    await this.settled();
    return answer;
  }

  /** Resolved when nothing is on its way to the medium. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.idle.push(resolve);
      this.wake();
    });
  }

  /** Ends everything; sockets say goodbye by themselves. */
  async stop(): Promise<void> {
    if (this.isOver) return;
    this.poll();
    await this.settled();
    this.end();
    this.engine.free();
  }

  /** Ends at once, writing nothing more: another engine leads already. */
  abandon(): void {
    if (!this.isOver) this.end();
  }

  // ------------------------------------------------------------------------------- what the engine wants: only noted

  send(connection: number, frame: Uint8Array): void {
    this.sockets.get(connection)?.send(frame);
  }

  disconnect(connection: number, reason: string): void {
    this.disconnects.push({ connection, reason });
  }

  dial(endpoint: string): void {
    this.dials.push(endpoint);
  }

  store(area: Area, at: number, bytes: Uint8Array): void {
    this.toStore = { area, at, bytes: bytes.slice() };
    this.isUntidy = true;
  }

  event(json: string): void {
    this.events.push(JSON.parse(json) as EngineEvent);
  }

  // --------------------------------------------------------------------------------------------------------- the pump

  /** Tells the engine something, and has it asked soon what it wants. */
  private guard(tell: () => void): void {
    if (this.isOver) return;
    try {
      tell();
    } catch (error) {
      return this.crash(error);
    }
    this.wake();
  }

  private read<T>(ask: () => T): T | undefined {
    if (this.isOver) return undefined;
    try {
      return ask();
    } catch (error) {
      this.crash(error);
      return undefined;
    }
  }

  private wake(): void {
    if (this.isScheduled || this.isOver) return;
    this.isScheduled = true;
    soon(() => {
      this.isScheduled = false;
      this.poll();
    });
  }

  private poll(): void {
    if (this.isOver) return;
    try {
      let hasMore: boolean;
      do {
        hasMore = this.engine.poll(this);
        // Before anything is written: a tab must have heard of its edit by the time that it is durable, or it would make
        // it a second time should this engine end right then.
        this.tell();
      } while (this.act() && !hasMore);
      // What comes next may take long, and other things have arrived that do not.
      if (hasMore) return this.wake();
      this.setTimer();
      this.tidySoon();
      if (this.idle.length > 0 && !this.engine.isStoring()) for (const resolve of this.idle.splice(0)) resolve();
    } catch (error) {
      this.crash(error);
    }
  }

  /** What is dead in the journal goes a little at a time, in tasks of their own and when nothing else is being written: no key waits for more than one. */
  private tidySoon(): void {
    if (!this.isUntidy || this.tidying !== undefined) return;
    this.tidying = setTimeout(() => this.guard(() => {
      this.tidying = undefined;
      if (this.engine.isStoring()) return;
      this.isUntidy = this.engine.tidy(this);
      this.act();
    }), TIDY_MS);
  }

  private tell(): void {
    const events = this.events;
    if (events.length === 0) return;
    this.events = [];
    this.listener.onEvents(events);
  }

  /** Carries out what was noted; answers whether the engine has been told something meanwhile. */
  private act(): boolean {
    for (const { connection, reason } of this.disconnects.splice(0)) this.sockets.get(connection)?.close(reason);
    for (const endpoint of this.dials.splice(0)) this.open(endpoint);
    const write = this.toStore;
    this.toStore = undefined;
    return write !== undefined && this.write(write.area, write.at, write.bytes);
  }

  private write(area: Area, at: number, bytes: Uint8Array): boolean {
    try {
      const written = this.medium.write?.(area, at, bytes);
      if (written !== undefined) {
        written.then(
          () => this.guard(() => this.engine.handleStored(undefined, false)),
          (error: unknown) => this.guard(() => this.onWriteFailed(error)),
        );
        return false;
      }
      this.engine.handleStored(undefined, false);
    } catch (error) {
      if (isPanic(error)) throw error;
      this.onWriteFailed(error);
    }
    return true;
  }

  private onWriteFailed(error: unknown): void {
    const full = error instanceof Error && error.name === "QuotaExceededError";
    this.engine.handleStored(full ? "there is no room left on this device" : `this device's storage failed: ${reasonOf(error)}`, full);
  }

  private open(endpoint: string): void {
    const connection = ++this.connections;
    let isOpen = false;
    this.listener.onDial(endpoint);
    try {
      const socket = new Socket(this.makeSocket(endpoint), {
        onOpen: () => {
          isOpen = true;
          this.guard(() => this.engine.handleConnected(connection, endpoint));
        },
        onFrame: (frame) => this.guard(() => this.engine.handleFrame(connection, frame)),
        onWritten: (bytes) => this.later(() => this.engine.handleWritten(connection, bytes)),
        onClose: (reason, wantsToken) => {
          this.sockets.delete(connection);
          if (wantsToken) this.listener.onWantsToken(endpoint);
          this.later(() => (isOpen ? this.engine.handleDisconnected(connection, reason) : this.engine.handleDialFailed(endpoint, reason)));
        },
      });
      this.sockets.set(connection, socket);
    } catch (error) {
      this.later(() => this.engine.handleDialFailed(endpoint, reasonOf(error)));
    }
  }

  /** For what a socket tells within a call of the engine's own: the engine must not be called again from there. */
  private later(tell: () => void): void {
    queueMicrotask(() => this.guard(tell));
  }

  private setTimer(): void {
    clearTimeout(this.timer);
    const deadline = this.engine.nextDeadline();
    if (deadline === undefined) return;
    const delay = Math.min(Math.max(0, deadline - performance.now()), TIMER_MS_MAX);
    this.timer = setTimeout(() => this.guard(() => this.engine.handleTick()), Math.ceil(delay));
  }

  private crash(error: unknown): void {
    if (this.isOver) return;
    const message = `the engine stopped: ${takePanic() ?? reasonOf(error)}`;
    this.end();
    this.listener.onCrash(message);
  }

  private end(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    clearTimeout(this.tidying);
    for (const socket of this.sockets.values()) socket.close("this replica goes away");
    this.sockets.clear();
    this.medium.close();
    for (const resolve of this.idle.splice(0)) resolve();
  }
}

/** Whether the module itself has stopped, and did not only refuse what it was given. */
function isPanic(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError;
}

/** Runs `task` after everything that has already arrived. */
const soon: (task: () => void) => void = (() => {
  const immediate = (globalThis as { setImmediate?: (task: () => void) => void }).setImmediate;
  if (immediate !== undefined) return immediate;
  const { port1, port2 } = new MessageChannel();
  const tasks: (() => void)[] = [];
  port1.onmessage = () => tasks.shift()?.();
  return (task) => {
    tasks.push(task);
    port2.postMessage(null);
  };
})();
