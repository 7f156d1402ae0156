/**
 * The truth about where one's words are, from what the engine says, in words people understand.
 *
 * One pure function, so that each of its sentences can be looked at and tested. It never says "saved" of anything that
 * is not, and it says what is wrong before it says what is well.
 */

import type { ConnectionStatus, SavedStatus, StorageStatus, SyncStatus } from "driftline";
import type { Arriving } from "./arriving.ts";
import type { AccessNotice } from "./access.ts";
import { counted } from "./words.ts";

/** Everything the status line depends on. */
export interface StatusFacts {
  /** Whether the engine runs at all. */
  isCrashed: boolean;
  /** Whether the work-offline switch is off. */
  isOnline: boolean;
  /** Whether the browser believes in a network. */
  hasNetwork: boolean;
  connections: readonly ConnectionStatus[];
  /** What the page says to someone who may not write; nothing to others. */
  notice?: AccessNotice | null;
  storage: StorageStatus;
  sync: SyncStatus;
  /** What is on its way here, once it has taken so long that one may ask. */
  arriving?: Arriving | null;
  /** How saved each open document is. */
  saved: readonly SavedStatus[];
  now: number;
}

/** How far one has drifted from the others: the shape of the waterline. */
export type Drift = "together" | "settling" | "reaching" | "adrift";

/** What the status line shows. */
export interface Status {
  /** A stable name of the state. */
  phase: "crashed" | "apart" | "offline" | "noNetwork" | "unreachable" | "connecting" | "syncing" | "relay" | "local";
  drift: Drift;
  /** Whether something needs the reader's attention. */
  isWarning: boolean;
  /** One to three words. */
  headline: string;
  /** A few words more: where one's words are. */
  addition: string;
  /** What is on its way here. */
  arriving: Arriving | null;
  /** Sentences for those who want to know. */
  details: StatusDetail[];
}

/** One line of the details. */
export interface StatusDetail {
  name: string;
  text: string;
  tone: "good" | "waiting" | "bad";
}

/** What to say. */
export function statusOf(facts: StatusFacts): Status {
  const device = deviceDetail(facts);
  const relay = relayDetail(facts);
  const details = [device, relay, changesDetail(facts)].filter((detail) => detail !== null);
  const isKept = facts.storage.durable;
  const isDeviceSaved = isKept && facts.saved.every((saved) => saved.device);
  const isRelaySaved = facts.saved.every((saved) => saved.relays > 0);
  const here = !isKept ? "kept in this tab only" : isDeviceSaved ? "saved on this device" : "saving on this device…";
  const base = { details, isWarning: !isKept, addition: here, arriving: null };

  if (facts.isCrashed) {
    return { ...base, phase: "crashed", drift: "adrift", isWarning: true, headline: "Stopped", addition: "reload the page to go on" };
  }
  if (facts.notice?.isApart) {
    const apart: StatusDetail = { name: "This notebook", tone: "bad", text: facts.notice.words };
    return { ...base, phase: "apart", drift: "adrift", isWarning: true, headline: facts.notice.headline, details: [apart, device, relay].filter((detail) => detail !== null) };
  }
  if (!facts.isOnline) return { ...base, phase: "offline", drift: "adrift", headline: "Working offline" };
  if (facts.connections.length === 0) return { ...base, phase: "local", drift: "together", headline: "On this device", addition: here };
  const connected = facts.connections.some((connection) => connection.state === "connected");
  if (!connected) {
    if (!facts.hasNetwork) return { ...base, phase: "noNetwork", drift: "adrift", headline: "No network" };
    if (facts.connections.some((connection) => connection.state === "waiting")) {
      return { ...base, phase: "unreachable", drift: "adrift", headline: "Relay out of reach" };
    }
    return { ...base, phase: "connecting", drift: "reaching", headline: "Connecting…" };
  }
  const isInStep = facts.sync.peers > 0 && facts.sync.inSync === facts.sync.peers && facts.sync.behind === 0 && facts.sync.catchUp === undefined;
  if (facts.arriving) return { ...base, phase: "syncing", drift: "settling", headline: "Catching up…", addition: facts.arriving.words, arriving: facts.arriving };
  if (!isInStep || !isRelaySaved) return { ...base, phase: "syncing", drift: "settling", headline: "Syncing…" };
  if (facts.saved.length === 0) return { ...base, phase: "relay", drift: "together", headline: "Connected", addition: isKept ? "nothing to save yet" : here };
  if (!isKept) return { ...base, phase: "relay", drift: "together", headline: "Saved on the relay", addition: "but not on this device" };
  return {
    ...base,
    phase: "relay",
    drift: "together",
    headline: "Saved on the relay",
    addition: isDeviceSaved ? "and on this device" : "saving on this device…",
  };
}

function deviceDetail({ storage, saved }: StatusFacts): StatusDetail {
  const name = "This device";
  if (!storage.durable) {
    return { name, tone: "bad", text: storage.warning ?? "This browser lets the page keep nothing: what only this tab holds is lost when it closes." };
  }
  const unsaved = saved.reduce((sum, document) => sum + document.unsaved, 0);
  const isSaved = saved.every((document) => document.device);
  if (!isSaved) {
    return { name, tone: "waiting", text: unsaved > 0 ? `${counted(unsaved, "change")} on the way to storage.` : "Saving." };
  }
  const where = storage.kind === "indexeddb" ? "in the browser's database (IndexedDB)" : "in the browser's private file storage";
  const caution = storage.persisted ? "" : " The browser may clear it if the disk runs short.";
  return { name, tone: "good", text: `Everything is saved, ${where}.${caution}` };
}

function relayDetail({ isOnline, hasNetwork, connections, now }: StatusFacts): StatusDetail {
  const name = "Relay";
  const connection = connections.find((each) => each.state === "connected") ?? connections[0];
  if (!connection) return { name, tone: "waiting", text: "None is set." };
  const where = hostOf(connection.endpoint);
  if (!isOnline) return { name, tone: "waiting", text: `Not connected, because you chose to work offline. ${where} is waiting.` };
  switch (connection.state) {
    case "connected":
      return { name, tone: "good", text: `Connected to ${where}.` };
    case "connecting":
      return { name, tone: "waiting", text: `Calling ${where}.` };
    case "offline":
      return { name, tone: "waiting", text: `Not connected to ${where}.` };
    case "waiting": {
      const seconds = connection.retryAt === undefined ? 0 : Math.ceil((connection.retryAt - now) / 1_000);
      const again = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
      if (!hasNetwork) return { name, tone: "bad", text: `This device has no network. ${where} is called as soon as there is one.` };
      const reason = connection.reason ? ` ${sentence(connection.reason)}` : "";
      return { name, tone: "bad", text: `${where} does not answer.${reason} ${again}` };
    }
  }
}

function changesDetail({ saved, sync, connections, isOnline }: StatusFacts): StatusDetail | null {
  if (saved.length === 0) return null;
  const name = "Your notes";
  const waiting = saved.filter((document) => document.relays === 0).length;
  const isConnected = isOnline && connections.some((connection) => connection.state === "connected");
  if (waiting > 0) {
    const verb = waiting === 1 ? "has" : "have";
    const tail = isConnected ? "They are on the way." : "They follow when the relay is reached.";
    return { name, tone: "waiting", text: `${counted(waiting, "document")} ${verb} changes that the relay is not known to hold. ${tail}` };
  }
  if (sync.behind > 0) return { name, tone: "waiting", text: `${counted(sync.behind, "document")} still to be compared.` };
  return { name, tone: "good", text: isConnected ? "The relay holds everything that is here." : "The relay held everything when it was last heard." };
}

function hostOf(endpoint: string): string {
  try {
    return new URL(endpoint).host;
  } catch {
    return endpoint;
  }
}

function sentence(text: string): string {
  const trimmed = text.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
