/** Node's modules, for when this package runs in Node: bundlers for browsers must not look for them. */

import { addressWith } from "./relays.js";

/** What is used of Node's files. */
export interface NodeFiles {
  readonly constants: { readonly O_RDWR: number; readonly O_CREAT: number };
  existsSync(path: string): boolean;
  openSync(path: string, flags: number): number;
  fstatSync(file: number): { size: number };
  readSync(file: number, bytes: Uint8Array, offset: number, length: number, at: number): number;
  writeSync(file: number, bytes: Uint8Array, offset: number, length: number, at: number): number;
  ftruncateSync(file: number, length: number): void;
  fdatasyncSync(file: number): void;
  closeSync(file: number): void;
  readFileSync(path: URL): Uint8Array;
}

/** Node's files. */
export function nodeFiles(): Promise<NodeFiles> {
  const address = "node:fs";
  return import(/* @vite-ignore */ /* webpackIgnore: true */ address) as Promise<NodeFiles>;
}

/** Makes a WebSocket to a relay, which is shown a token where there is one. */
export type SocketMaker = (endpoint: string, token: string | undefined) => WebSocket;

/** A WebSocket of the package `ws`, which takes headers. */
type WebSocketWithHeaders = new (endpoint: string, options: { headers: Record<string, string> }) => WebSocket;

/** The platform's own WebSocket, or the package `ws` where Node has none. */
export async function webSocketMaker(): Promise<SocketMaker> {
  const own = (globalThis as { WebSocket?: typeof WebSocket }).WebSocket;
  if (own !== undefined) return (endpoint, token) => new own(addressWith(endpoint, token));
  try {
    const address = "ws";
    const module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ address)) as { WebSocket: WebSocketWithHeaders };
    // In a header it stands in nobody's log.
    return (endpoint, token) => new module.WebSocket(endpoint, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
  } catch {
    return () => {
      throw new Error('this version of Node has no WebSocket: install the package "ws" beside driftline');
    };
  }
}
