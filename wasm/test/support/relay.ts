// A relay in this process: the real engine, reached by sockets that are only queues.

import { TestEngine } from "./engine.js";

const relays = new Map<string, PipeRelay>();

/** A relay that `pipe://…` leads to. */
export class PipeRelay {
  readonly endpoint: string;
  engine: TestEngine;
  /** What it wants to be shown; nothing where it lets everyone in. */
  token: string | undefined;
  /** How often it was shown none that is good. */
  refusals = 0;
  private readonly sockets = new Map<number, PipeSocket>();
  private connections = 0;
  private readonly timer = setInterval(() => {
    this.engine.host.handleTick();
    this.pump();
  }, 10);

  constructor(name: string, seed = 99) {
    this.engine = new TestEngine({ relay: true, seed });
    this.endpoint = `pipe://${name}/sync`;
    relays.set(this.endpoint, this);
  }

  accept(socket: PipeSocket): number {
    const connection = ++this.connections;
    this.sockets.set(connection, socket);
    this.engine.host.handleConnected(connection, undefined);
    this.pump();
    return connection;
  }

  handleFrame(connection: number, frame: Uint8Array): void {
    if (!this.sockets.has(connection)) return;
    this.engine.host.handleFrame(connection, frame);
    this.pump();
  }

  handleClosed(connection: number): void {
    if (!this.sockets.delete(connection)) return;
    this.engine.host.handleDisconnected(connection, "the client is gone");
    this.pump();
  }

  /** Cuts every connection, as a relay does that is killed, and forgets all but its journal. */
  kill(): void {
    relays.delete(this.endpoint);
    for (const socket of [...this.sockets.values()]) socket.cut();
    this.sockets.clear();
  }

  restart(): void {
    const { journal } = this.engine;
    this.engine.host.free();
    this.engine = new TestEngine({ relay: true, seed: 98, journal });
    relays.set(this.endpoint, this);
  }

  stop(): void {
    this.kill();
    clearInterval(this.timer);
  }

  private pump(): void {
    this.engine.poll();
    for (const { connection, frame } of this.engine.frames.splice(0)) {
      this.sockets.get(connection)?.deliver(frame);
      this.engine.host.handleWritten(connection, frame.length);
    }
    for (const connection of this.engine.closed.splice(0)) {
      this.sockets.get(connection)?.cut();
      this.handleClosed(connection);
    }
  }
}

/** As much of a WebSocket as is used, leading into this process. */
export class PipeSocket {
  binaryType = "blob";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  private connection: number | undefined;
  private isOver = false;
  private readonly relay: PipeRelay | undefined;

  constructor(address: string) {
    const [endpoint, token] = address.split("?token=", 2);
    this.relay = relays.get(endpoint ?? "");
    setTimeout(() => {
      if (this.isOver) return;
      if (this.relay === undefined) return this.cut();
      this.onopen?.();
      if (this.relay.token !== undefined && this.relay.token !== token) {
        // As real ones do.
        this.relay.refusals++;
        return this.cut(4401, "this relay wants a token: ask its operator for one");
      }
      this.connection = this.relay.accept(this);
    }, 1);
  }

  send(frame: Uint8Array): void {
    const copy = frame.slice();
    setTimeout(() => {
      if (!this.isOver && this.connection !== undefined) this.relay?.handleFrame(this.connection, copy);
    }, 1);
  }

  deliver(frame: Uint8Array): void {
    setTimeout(() => {
      if (!this.isOver) this.onmessage?.({ data: frame.slice().buffer });
    }, 1);
  }

  close(): void {
    setTimeout(() => {
      const connection = this.connection;
      this.cut(1000);
      if (connection !== undefined) this.relay?.handleClosed(connection);
    }, 2);
  }

  cut(code = 1006, reason = ""): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onclose?.({ code, reason });
  }
}

(globalThis as { WebSocket: unknown }).WebSocket = PipeSocket;
