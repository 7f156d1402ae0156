/**
 * What one tab shows of one document: a plain value that never waits.
 *
 * An edit goes into the value at once and to the engine with the number of the last answer the mirror had taken. The
 * engine commits it on that version, so that the CRDT merges it with whatever came meanwhile, and answers with the
 * difference between what the mirror shows and the merged document. The mirror takes an answer only if it has made no
 * edit since the one the answer covers; otherwise the answer to the later edit will cover both.
 *
 * The first answer may be what the engine has stored of a document that it is still loading: number 0, a state to go on from
 * as any other. Edits that are made on it are committed once the document is there.
 *
 * When the engine is another one suddenly (the tab that ran it was closed), the mirror offers the states it has shown,
 * the newest first, and the new engine goes on from the first whose changes all reached the disk. For that the mirror
 * keeps, of each state since the last durable one, the value it showed, and every edit since. Each edit carries a stamp, by
 * which the new engine knows what the old one made of it and kept, though its answer never arrived.
 */

import type { Heads, Patch } from "./api.js";
import { diff } from "./diff.js";
import type { Op, Recorded } from "./draft.js";
import { applyPatches, decodePatch, OutOfStep, type WirePatch } from "./patch.js";
import { reapply } from "./reapply.js";
import { decode, type Json } from "./value.js";

/** The engine's answer: see `ViewUpdate` in the core. */
export interface ViewUpdate {
  view: number;
  document: string;
  number: number;
  covers: number;
  reset: Json;
  patches: WirePatch[];
  heads: string[];
  base: string[];
}

/** A state to go on from: see `Resume` in the core. */
export interface Resume {
  covers: number;
  heads: readonly string[];
}

/** An edit on its way to the engine: see `EditView` in the core. */
export interface MirrorEdit {
  readonly number: number;
  readonly seen: number;
  readonly edit: { readonly ops: readonly Op[]; readonly message?: string };
  /** By what another engine knows the edit, should it be sent again: see `Stamp` in the core. */
  readonly stamp: { readonly number: number; readonly oldest: number };
}

/** What a listener is told. */
export interface MirrorChange {
  readonly before: object | undefined;
  readonly patches: readonly Patch[];
}

/** A state that was shown, and can be gone on from. */
interface Shown {
  readonly covers: number;
  readonly heads: readonly string[];
  readonly value: object;
}

/** An edit not yet known to be durable. */
interface Kept {
  readonly number: number;
  /** Its number among all edits ever made, which stays the same when it is made again under another. */
  readonly stamp: number;
  readonly ops: readonly Op[];
  readonly message: string | undefined;
  /** What the mirror showed before and after it. */
  readonly before: object;
  readonly after: object;
  /** Whether the engine refused it once: then it was made again on what the engine has, and is not a second time. */
  refused: boolean;
}

/** States kept to go on from; more pile up only while the store writes nothing. */
const SHOWN_MAX = 64;

/** A mirror of one document. */
export class Mirror {
  /** What is shown; nothing before the first answer. */
  value: object | undefined;
  /** The version of the last answer taken. */
  heads: Heads = [];
  /** The number of the last edit made. */
  made = 0;
  /** The last edit that an answer has covered. */
  covered = 0;

  /** Whether the engine has told what it has stored of the document, and not yet loaded the document itself. */
  isPreview = false;

  private seen = 0;
  /** Whether edits were kept in another order than that of their stamps. */
  private isMixed = false;
  /** Edits ever made. */
  private stamps = 0;
  private shown: Shown[] = [];
  private kept: Kept[] = [];
  /** Whether the engine has answered: before it has, edits wait. */
  private attached = false;

  /** Begins with a value of this mirror's own making: a new document. */
  static of(value: object): Mirror {
    const mirror = new Mirror();
    mirror.value = value;
    return mirror;
  }

  /** Whether the engine has answered for the value that is shown. */
  get isAttached(): boolean {
    return this.attached;
  }

  /** Takes what a change came to; answers what to send, or nothing while the engine has not answered. */
  edit(recorded: Recorded, message?: string): MirrorEdit | undefined {
    this.made++;
    const before = this.value ?? Object.freeze({});
    const kept = { number: this.made, stamp: ++this.stamps, ops: recorded.ops, message, before, after: recorded.value, refused: false };
    this.value = recorded.value;
    this.kept.push(kept);
    return this.attached ? this.toSend(kept) : undefined;
  }

  /** The states the mirror has shown, the newest first, for an engine that does not know it. */
  resume(): Resume[] {
    this.superseded.clear();
    this.attached = false;
    this.seen = 0;
    return this.shown.map(({ covers, heads }) => ({ covers, heads }));
  }

  /**
   * Takes an answer, or drops it; says what changed on the screen, and which edits must be sent (again) because the
   * engine that answers has not heard of them. Throws `OutOfStep` when a patch does not fit.
   */
  take(update: ViewUpdate): { change: MirrorChange | undefined; send: MirrorEdit[] } {
    const before = this.value;
    this.patches = undefined;
    let send: Kept[] = [];
    if (update.reset !== null) send = this.restart(update);
    else if (this.attached) this.follow(update);
    else send = this.goOn(update);
    this.attached = true;
    this.isPreview = update.number === 0;
    this.covered = update.covers;
    const change = this.value === before ? undefined : { before, patches: this.patches ?? diff(before, this.value) };
    return { change, send: send.map((edit) => this.toSend(edit)) };
  }

  /**
   * The engine could not make an edit, and will answer with a reset. Answers whether that is final: once, an edit is
   * made again on what the engine has.
   */
  onRefused(number: number): boolean {
    if (this.superseded.delete(number)) return false;
    const edit = this.kept.find((kept) => kept.number === number);
    if (edit === undefined) return true;
    if (edit.refused) {
      this.kept = this.kept.filter((kept) => kept !== edit);
      return true;
    }
    edit.refused = true;
    this.again.add(number);
    return false;
  }

  /** The engine says that all it has answered is durable: nothing older is needed to go on from. */
  onDurable(): void {
    this.kept = this.kept.filter((edit) => edit.number > this.covered || this.again.has(edit.number));
    if (this.kept.length === 0) this.isMixed = false;
    this.shown = this.shown.slice(0, 1);
  }

  /** The patches of the last answer, when it was taken as it came. */
  private patches: Patch[] | undefined;
  /** Edits that were refused and are made again when the reset comes. */
  private readonly again = new Set<number>();
  /** Edits that were made again under another number: what the engine says of the old one means nothing. */
  private readonly superseded = new Set<number>();

  private follow(update: ViewUpdate): void {
    if (update.covers < this.made) {
      // Of a state with as many edits that was shown, the engine cannot know, and its base may be an older one.
      const newest = this.shown[0];
      if (newest !== undefined && newest.covers >= update.covers) return;
      const value = this.kept.find((edit) => edit.number === update.covers + 1)?.before;
      if (value !== undefined) this.show({ covers: update.covers, heads: update.base, value });
      return;
    }
    const patches = update.patches.map(decodePatch);
    this.value = applyPatches(this.value, patches) as object;
    this.accept(update, this.value);
    this.patches = patches;
  }

  /** The first answer of an engine that goes on from a state the mirror has shown. */
  private goOn(update: ViewUpdate): Kept[] {
    const from = this.shown.find((state) => state.covers === update.covers && sameHeads(state.heads, update.base));
    if (from === undefined) throw new OutOfStep("the engine goes on from a state that was never shown");
    const later = this.kept.filter((edit) => edit.number > update.covers);
    // What others wrote and was shown after that state never reached the disk: it comes again from them. Edits of the
    // mirror's own are made again.
    this.shown = this.shown.slice(this.shown.indexOf(from));
    this.kept = this.kept.filter((edit) => edit.number <= update.covers);
    if (later.length > 0) return this.redo(from.value, later, update.covers);
    const value = applyPatches(from.value, update.patches.map(decodePatch)) as object;
    this.showValue(value);
    this.accept(update, value);
    return [];
  }

  private restart(update: ViewUpdate): Kept[] {
    const value = applyPatches(decode(update.reset), update.patches.map(decodePatch)) as object;
    const isLost = (edit: Kept): boolean => !this.attached || edit.number > update.covers || this.again.has(edit.number);
    const again = this.kept.filter(isLost);
    if (again.length < this.kept.length) this.isMixed = true;
    // Edits that are still under way will be refused, and use up their numbers; to another engine none are.
    const last = this.attached ? this.made : update.covers;
    if (this.attached) for (const edit of again) if (edit.number > update.covers) this.superseded.add(edit.number);
    this.kept = this.kept.filter((edit) => !isLost(edit));
    this.again.clear();
    this.shown = [];
    this.accept({ ...update, covers: last }, value);
    return this.redo(value, again, last);
  }

  /** Makes edits again on `start`, numbered from after `last`; answers them as they are now. */
  private redo(start: object, edits: readonly Kept[], last: number): Kept[] {
    let value = start;
    this.made = last;
    const redone = edits.map((edit): Kept => {
      const again = edit.before === value ? { ops: edit.ops, value: edit.after } : reapply(edit.ops, edit.before, value);
      const kept = { ...edit, number: ++this.made, ops: again.ops, before: value, after: again.value };
      value = again.value;
      return kept;
    });
    this.kept.push(...redone);
    this.showValue(value);
    return redone;
  }

  /** Where nothing changed, the screen keeps the very object it had. */
  private showValue(value: object): void {
    if (this.value === undefined || diff(this.value, value).length > 0) this.value = value;
  }

  private accept(update: ViewUpdate, value: object): void {
    this.seen = update.number;
    this.heads = update.heads;
    this.show({ covers: update.covers, heads: update.heads, value });
  }

  private show(state: Shown): void {
    const newest = this.shown[0];
    if (newest !== undefined && newest.covers === state.covers && sameHeads(newest.heads, state.heads)) return;
    this.shown.unshift(state);
    // The oldest is the one that surely is on the disk: of the others, the newest matter.
    if (this.shown.length > SHOWN_MAX) this.shown.splice(SHOWN_MAX - 1, this.shown.length - SHOWN_MAX);
  }

  private toSend(edit: Kept): MirrorEdit {
    const message = edit.message === undefined ? {} : { message: edit.message };
    // Edits that were refused and made again stand behind later ones.
    const oldest = this.isMixed ? Math.min(...this.kept.map((kept) => kept.stamp)) : (this.kept[0]?.stamp ?? edit.stamp);
    const stamp = { number: edit.stamp, oldest };
    return { number: edit.number, seen: this.seen, edit: { ops: edit.ops, ...message }, stamp };
  }
}

function sameHeads(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((head) => b.includes(head));
}
