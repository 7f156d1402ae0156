import type { MarkFunction, RepoConstructor, Repo as RepoType, SpliceFunction, UnmarkFunction, UpdateTextFunction } from "./api.js";
import { mark as markDraft, splice as spliceDraft, unmark as unmarkDraft, updateText as updateDraftText } from "./draft.js";
import { RepoOfTab } from "./repo.js";

export * from "./api.js";
export { AccessError } from "./access.js";
export { didOf, documentIdOf, isDocumentId, isOwnedSpace, isSealedSpace, newDocumentId, newSpaceId, peerIdOf, spaceIdOf } from "./ids.js";
export { invitationIn, ticketIn } from "./links.js";
export { Counter, ImmutableString } from "./scalar.js";

/** Opens repos. */
export const Repo: RepoConstructor = { open: (options) => RepoOfTab.open(options) };
export type Repo = RepoType;

/** Replaces part of a text of a draft, inside `change`. */
export const splice: SpliceFunction = spliceDraft;

/** Makes a text of a draft read like this by the smallest edit that does, inside `change`. */
export const updateText: UpdateTextFunction = updateDraftText;

/** Formats a stretch of a text of a draft, inside `change`. */
export const mark: MarkFunction = markDraft;

/** Takes formatting off a stretch of a text of a draft, inside `change`. */
export const unmark: UnmarkFunction = unmarkDraft;
