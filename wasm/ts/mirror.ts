/**
 * What one tab shows of one document: a plain value that never waits.
 *
 * An edit goes into the value at once and to the engine with the number of the last answer the mirror had taken. The
 * engine commits it on that version, so that the CRDT merges it with whatever came meanwhile, and answers with the
 * difference between what the mirror shows and the merged document. The mirror takes an answer only if it has made no
 * edit since the one the answer covers; otherwise the answer to the later edit will cover both.
 *
 * When the engine is another one suddenly (the tab that ran it was closed), the mirror offers the states it has shown,
 * the newest first, and the new engine goes on from the first whose changes all reached the disk. For that the mirror
 * keeps, of each state since the last durable one, the value it showed, and every edit since.
 */

import type { Heads, Patch } from "./api.js";
import { diff } from "./diff.js";
import type { Op, Recorded } from "./draft.js";
import { applyPatches, decodePatch, type WirePatch } from "./patch.js";
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
  readonly ops: readonly Op[];
  readonly message: string | undefined;
  /** What the mirror showed before and after it. */
  readonly before: object;
  readonly after: object;
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

  private seen = 0;
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
    const before = this.value ?? {};
    const kept = { number: this.made, ops: recorded.ops, message, before, after: recorded.value };
    this.value = recorded.value;
    this.kept.push(kept);
    return this.attached ? this.toSend(kept) : undefined;
  }

  /** The states the mirror has shown, the newest first, for an engine that does not know it. */
  resume(): Resume[] {
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
    this.covered = Math.max(this.covered, update.covers);
    if (update.reset !== null) this.restart(update);
    else if (!this.attached) this.goOn(update);
    else this.follow(update);
    const first = !this.attached;
    this.attached = true;
    const send = first || update.reset !== null ? this.kept.filter((edit) => edit.number > update.covers).map((edit) => this.toSend(edit)) : [];
    if (this.value === before) return { change: undefined, send };
    return { change: { before, patches: this.patches ?? diff(before, this.value) }, send };
  }

  /** The engine says that all it has answered is durable: nothing older is needed to go on from. */
  onDurable(): void {
    this.kept = this.kept.filter((edit) => edit.number > this.covered);
    this.shown = this.shown.slice(0, 1);
  }

  /** The patches of the last answer, when it was taken as it came. */
  private patches: Patch[] | undefined;

  private follow(update: ViewUpdate): void {
    if (update.covers < this.made) {
      this.patches = undefined;
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
  private goOn(update: ViewUpdate): void {
    const from = this.shown.find((state) => state.covers === update.covers && sameHeads(state.heads, update.base));
    // What was shown after that state never reached the disk: the mirror's own edits are made again, and what others
    // wrote comes again from them.
    const start = from?.value ?? this.value ?? {};
    const later = this.kept.filter((edit) => edit.number > update.covers);
    if (later.length === 0) {
      this.value = applyPatches(start, update.patches.map(decodePatch)) as object;
      this.accept(update, this.value);
    } else {
      this.shown = [];
      this.show({ covers: update.covers, heads: update.base, value: start });
      this.redo(start, later);
    }
    this.patches = undefined;
  }

  private restart(update: ViewUpdate): void {
    const value = applyPatches(decode(update.reset), update.patches.map(decodePatch)) as object;
    this.shown = [];
    this.accept(update, value);
    this.redo(value, this.kept.filter((edit) => edit.number > update.covers));
    this.patches = undefined;
  }

  /** Makes edits again on another state than the one they were made on. */
  private redo(start: object, edits: readonly Kept[]): void {
    const redone: Kept[] = [];
    let value = start;
    for (const edit of edits) {
      const same: Recorded = { ops: [...edit.ops], patches: [], value: edit.after };
      const again = edit.before === value ? same : reapply(edit.ops, edit.before, value);
      redone.push({ ...edit, ops: again.ops, before: value, after: again.value });
      value = again.value;
    }
    this.kept = [...this.kept.filter((edit) => !edits.includes(edit)), ...redone];
    // Where nothing changed, the screen keeps the very object it had.
    if (this.value === undefined || diff(this.value, value).length > 0) this.value = value;
  }

  private accept(update: ViewUpdate, value: object): void {
    this.seen = update.number;
    this.heads = update.heads;
    this.show({ covers: update.covers, heads: update.heads, value });
  }

  private show(state: Shown): void {
    this.shown.unshift(state);
    // The oldest is the one that surely is on the disk: of the others, the newest matter.
    if (this.shown.length > SHOWN_MAX) this.shown.splice(SHOWN_MAX - 1, this.shown.length - SHOWN_MAX);
  }

  private toSend(edit: Kept): MirrorEdit {
    const message = edit.message === undefined ? {} : { message: edit.message };
    return { number: edit.number, seen: this.seen, edit: { ops: edit.ops, ...message } };
  }
}

function sameHeads(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((head) => b.includes(head));
}
