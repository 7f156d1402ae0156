// A real engine without sockets, timers or a worker: told and asked by hand, on a journal in memory.

import { readFileSync } from "node:fs";
import { type Driver, EngineHost, loadEngine } from "#dist/engine.js";
import type { Command, EngineEvent } from "#dist/protocol.js";

await loadEngine(readFileSync(new URL("../../../pkg/driftline_bg.wasm", import.meta.url)));

export class TestEngine implements Driver {
  readonly host: EngineHost;
  journal: Uint8Array;
  events: EngineEvent[] = [];
  /** Frames on their way out, by connection. */
  frames: { connection: number; frame: Uint8Array }[] = [];
  dials: string[] = [];
  closed: number[] = [];
  /** Who it is, once it is known. */
  peer = "";
  /** Why the next write fails, if it does. */
  failure: string | undefined;
  private stored = 0;

  constructor({ seed = 1, journal = new Uint8Array() as Uint8Array, relay = false } = {}) {
    this.journal = journal;
    this.host = new EngineHost(new Uint8Array(32).fill(seed), journal.slice(), undefined, relay, undefined);
    this.poll();
  }

  command(command: Command): void {
    this.host.handleCommand(JSON.stringify(command));
  }

  poll(): EngineEvent[] {
    let hasMore: boolean;
    do {
      this.stored = 0;
      hasMore = this.host.poll(this);
      if (this.stored > 0) this.host.handleStored(this.failure, this.failure !== undefined);
    } while (this.stored > 0 || hasMore);
    const events = this.events;
    this.events = [];
    return events;
  }

  /** The engine's last moment: it says what it has to say, and is gone before anything of that is written. */
  crash(): EngineEvent[] {
    this.host.poll(this);
    this.host.free();
    return this.events;
  }

  send(connection: number, frame: Uint8Array): void {
    this.frames.push({ connection, frame: frame.slice() });
  }

  disconnect(connection: number): void {
    this.closed.push(connection);
  }

  dial(endpoint: string): void {
    this.dials.push(endpoint);
  }

  store(_area: 0 | 1, at: number, bytes: Uint8Array): void {
    this.stored++;
    if (this.failure !== undefined) return;
    const journal = new Uint8Array(at + bytes.length);
    journal.set(this.journal.subarray(0, at));
    journal.set(bytes, at);
    this.journal = journal;
  }

  event(json: string): void {
    const event = JSON.parse(json) as EngineEvent;
    if (event.event === "ready") this.peer = event.peer;
    this.events.push(event);
  }
}
