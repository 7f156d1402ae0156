/** Ids of documents and spaces, made and checked without the engine. */

import { sha256 } from "@noble/hashes/sha2.js";
import { base58, createBase58check } from "@scure/base";
import type { DocumentId, PeerId, SpaceId } from "./api.js";

const base58check = createBase58check(sha256);

/** Bytes of an id. */
const ID_BYTES = 16;

/** A fresh document id, drawn at random. */
export function newDocumentId(): DocumentId {
  return base58check.encode(crypto.getRandomValues(new Uint8Array(ID_BYTES))) as DocumentId;
}

/** A fresh space id, drawn at random: a space nobody can guess. */
export function newSpaceId(): SpaceId {
  return base58check.encode(crypto.getRandomValues(new Uint8Array(ID_BYTES))) as SpaceId;
}

/** Whether this is a whole document id, without a mistyped letter. */
export function isDocumentId(text: unknown): text is DocumentId {
  return isId(text);
}

/** What automerge-repo writes before the id of a document. */
const AUTOMERGE = "automerge:";

/** The document that `text` names, by its id or by its URL in automerge-repo; nothing when it names none. */
export function documentIdOf(text: unknown): DocumentId | undefined {
  if (typeof text !== "string") return undefined;
  const id = text.startsWith(AUTOMERGE) ? text.slice(AUTOMERGE.length) : text;
  return isDocumentId(id) ? id : undefined;
}

/** The space that `text` names: its id where it is one, or else the space which that name stands for everywhere. */
export function spaceIdOf(text: string): SpaceId {
  if (isId(text)) return text as SpaceId;
  return base58check.encode(sha256(new TextEncoder().encode(`driftline space\0${text}`)).slice(0, ID_BYTES)) as SpaceId;
}

/** What the id of every owned space begins with, and that of every sealed one, which is owned too. */
const OWNED_MARK = "ownd";
const SEALED_MARK = "seal";

/** Whether the space of this id is owned. */
export function isOwnedSpace(id: SpaceId): boolean {
  return beginsWith(id, OWNED_MARK) || isSealedSpace(id);
}

/** Whether what is in the space of this id is encrypted from end to end. */
export function isSealedSpace(id: SpaceId): boolean {
  return beginsWith(id, SEALED_MARK);
}

function beginsWith(id: SpaceId, mark: string): boolean {
  const bytes = base58check.decode(id);
  return [...mark].every((letter, at) => bytes[at] === letter.charCodeAt(0));
}

function isId(text: unknown): boolean {
  if (typeof text !== "string") return false;
  try {
    return base58check.decode(text).length === ID_BYTES;
  } catch {
    return false;
  }
}

/** What a `did:key` of an Ed25519 key begins with, and how its codec is written in it. */
const DID = "did:key:z";
const ED25519_CODEC = [0xed, 0x01] as const;
const KEY_BYTES = 32;

/** A replica as people and other programs see it: its key as a `did:key`. */
export function didOf(peer: PeerId): string {
  return DID + base58.encode(new Uint8Array([...ED25519_CODEC, ...bytesOf(peer)]));
}

/** The replica that `text` names, by its id or as a `did:key`; nothing when it names none. */
export function peerIdOf(text: string): PeerId | undefined {
  const whole = text.trim();
  if (new RegExp(`^[0-9a-f]{${2 * KEY_BYTES}}$`, "i").test(whole)) return whole.toLowerCase() as PeerId;
  if (!whole.startsWith(DID)) return undefined;
  try {
    const [first, second, ...key] = base58.decode(whole.slice(DID.length));
    const isOne = first === ED25519_CODEC[0] && second === ED25519_CODEC[1] && key.length === KEY_BYTES;
    return isOne ? (hexOf(new Uint8Array(key)) as PeerId) : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes as hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hexadecimal digits as bytes. */
export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}
