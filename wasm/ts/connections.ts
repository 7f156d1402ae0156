/** Endpoints and how the connections to them stand, from what the engine tells. */

import type { ConnectionStatus, PeerId } from "./api.js";

/** Every endpoint. */
export class Connections {
  private readonly byEndpoint = new Map<string, ConnectionStatus>();
  /** Those that want a token, and were shown none that is good there. */
  private readonly wanting = new Set<string>();
  private online: boolean;
  private readonly onChange: () => void;

  constructor(online: boolean, onChange: () => void) {
    this.online = online;
    this.onChange = onChange;
  }

  /** In the order they were added. */
  get all(): readonly ConnectionStatus[] {
    return [...this.byEndpoint.values()];
  }

  /** Answers whether it is new. */
  add(endpoint: string): boolean {
    if (this.byEndpoint.has(endpoint)) return false;
    this.set(endpoint, { state: this.online ? "connecting" : "offline" });
    return true;
  }

  remove(endpoint: string): void {
    this.wanting.delete(endpoint);
    if (this.byEndpoint.delete(endpoint)) this.onChange();
  }

  setOnline(online: boolean): void {
    this.online = online;
    for (const [endpoint, before] of this.byEndpoint) {
      const state = online ? "connecting" : "offline";
      this.byEndpoint.set(endpoint, Object.freeze({ endpoint, state, relay: before.relay }));
    }
    this.onChange();
  }

  handleDial(endpoint: string): void {
    // One that was removed before its turn came is dialled all the same, and then let go of.
    if (this.byEndpoint.has(endpoint)) this.set(endpoint, { state: "connecting" }, "keep reason");
  }

  handleWantsToken(endpoint: string): void {
    if (this.byEndpoint.has(endpoint)) this.wanting.add(endpoint);
  }

  handleConnected(endpoint: string, peerId: PeerId, relay: boolean): void {
    this.wanting.delete(endpoint);
    if (this.byEndpoint.has(endpoint)) this.set(endpoint, { state: "connected", peerId, relay });
  }

  handleDisconnected(endpoint: string, reason: string, retryMs: number | null): void {
    // One that was removed closes after that, and may be added again.
    if (!this.byEndpoint.has(endpoint)) return;
    if (!this.online) this.set(endpoint, { state: "offline" });
    else if (retryMs === null) this.set(endpoint, { state: "waiting", reason });
    else this.set(endpoint, { state: "waiting", reason, retryAt: Date.now() + retryMs });
  }

  private set(endpoint: string, status: Partial<ConnectionStatus> & Pick<ConnectionStatus, "state">, keep?: "keep reason"): void {
    const before = this.byEndpoint.get(endpoint);
    const reason = keep === undefined || before?.reason === undefined ? {} : { reason: before.reason };
    const wants = this.wanting.has(endpoint) && status.state !== "offline" ? { wantsToken: true } : {};
    this.byEndpoint.set(endpoint, Object.freeze({ endpoint, relay: before?.relay ?? false, ...reason, ...wants, ...status }));
    this.onChange();
  }
}
