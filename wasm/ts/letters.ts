/** Letters, as one tab has them. */

import type { Letter, LetterId, Letters, LettersEvents, PeerId, SendLetterOptions, SentLetter } from "./api.js";
import { Events, until } from "./events.js";
import { bytesOf, didOf, hexOf, peerIdOf } from "./ids.js";
import { secondsOf } from "./introductions.js";
import type { EngineEvent, EngineLetter, Post } from "./protocol.js";
import type { RepoOfTab } from "./repo.js";
import { SentLetters } from "./sent-letters.js";

const DAY_MS = 24 * 3_600_000;
/** How long a letter is kept unless told, in milliseconds. */
const ENDS_IN_MS = 7 * DAY_MS;
/** Content that no letter has room for, in bytes: it is refused before it is carried to the engine, which knows to the byte. */
const CONTENT_BYTES_MAX = 16 * 1024;

/** What the engine tells of letters. */
export type LetterEvent = Extract<EngineEvent, { event: "letterArrived" | "letterForgotten" | "letterSent" | "letterRefused" | "letterboxEmptied" }>;

/** Beside what an app is told. */
interface Names extends LettersEvents {
  emptied: undefined;
}

/** Letters of this device's. */
export class LettersOfTab extends Events<Names> implements Letters {
  private readonly repo: RepoOfTab;
  /** Of those that were sent, what this tab has heard. */
  private readonly known = new SentLetters();
  /** Those received that were here at the beginning, or were told. */
  private readonly told = new Set<LetterId>();
  /** Whether it is known what was here at the beginning. */
  private isBegun = false;

  constructor(repo: RepoOfTab) {
    super();
    this.repo = repo;
  }

  get address(): string {
    return didOf(this.repo.peerId);
  }

  async send(to: PeerId | string, kind: string, content: string | Uint8Array, { endsIn = ENDS_IN_MS }: SendLetterOptions = {}): Promise<LetterId> {
    const recipient = peerIdOf(to);
    if (recipient === undefined) throw new Error("a letter is for a key: a PeerId, or a did:key that begins with did:key:z6Mk");
    if (!(endsIn > 0 && Number.isFinite(endsIn))) throw new Error("a letter lasts for some time: say endsIn in milliseconds");
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (bytes.length > CONTENT_BYTES_MAX) throw new Error(`some 16,000 bytes go into a letter, and this has ${bytes.length}: send less`);
    // Drawn here, so that asking the next leader again sends no second letter.
    const drawn = hexOf(crypto.getRandomValues(new Uint8Array(32)));
    const ends = secondsOf(new Date(Date.now() + endsIn));
    const id = (await this.act({ post: "send", to: recipient, kind, content: hexOf(bytes), ends, drawn })) as LetterId;
    // Word of it may have come before.
    if (this.known.of(id) === undefined) this.emit("sent", this.known.note({ id, state: "waiting" }));
    return id;
  }

  async received(): Promise<readonly Letter[]> {
    return ((await this.repo.ask({ ask: "letters" })) as EngineLetter[]).map(letterOf);
  }

  async sent(): Promise<readonly SentLetter[]> {
    for (const letter of (await this.repo.ask({ ask: "sentLetters" })) as SentLetter[]) {
      // What this tab has heard since is newer.
      if (this.known.of(letter.id) === undefined) this.known.note(letter);
    }
    return this.known.all;
  }

  async whenKept(id: LetterId, options?: { timeout?: number; signal?: AbortSignal }): Promise<void> {
    if (this.known.of(id) === undefined && !(await this.sent()).some((letter) => letter.id === id)) throw new Error("no such letter was sent from here");
    const isKept = (): boolean => ["kept", "taken"].includes(this.known.of(id)?.state ?? "");
    const whyNot = (): Error | undefined => {
      const { state, reason } = this.known.of(id) ?? {};
      return state === "refused" ? new Error(reason ?? "the letter was refused") : undefined;
    };
    const error = whyNot();
    if (error !== undefined) throw error;
    await until(isKept, (check, fail) => {
      const stops = [
        this.on("sent", (letter) => {
          if (letter.id !== id) return;
          const error = whyNot();
          if (error === undefined) check();
          else fail(error);
        }),
        this.repo.on("close", () => fail(new Error("this repo is closed"))),
      ];
      return () => stops.forEach((stop) => stop());
    }, options, "keeping the letter at a relay");
  }

  async whenFetched(options?: { timeout?: number; signal?: AbortSignal }): Promise<void> {
    let count = (await this.act({ post: "fetch" })) as number;
    await until(() => count > 0, (check, fail) => {
      // The last of them may still be on its way to the disk: it is asked again until it is there.
      const ask = (): void => {
        this.act({ post: "fetch" }).then((answer) => {
          count = answer as number;
          check();
        }, fail);
      };
      const stops = [this.on("emptied", ask), this.on("received", ask), this.repo.on("close", () => fail(new Error("this repo is closed")))];
      return () => stops.forEach((stop) => stop());
    }, options, "fetching letters from a relay");
  }

  async forget(id: LetterId): Promise<boolean> {
    return (await this.act({ post: "forget", letter: id })) as boolean;
  }

  /** A leader begins. What came in the moment when the one before it went may have been told to nobody. */
  handleLeader(): void {
    this.repo.ask({ ask: "letterIds" }).then((answer) => {
      for (const id of answer as LetterId[]) {
        if (this.isBegun) this.show(id);
        else this.told.add(id);
      }
      this.isBegun = true;
    }, () => {});
  }

  /** The engine tells something. */
  handle(event: LetterEvent): void {
    switch (event.event) {
      case "letterArrived":
        return this.show(event.letter as LetterId);
      case "letterForgotten":
        this.told.delete(event.letter as LetterId);
        return this.emit("forgotten", event.letter as LetterId);
      case "letterSent":
      case "letterRefused":
        return this.emit("sent", this.known.handle(event));
      case "letterboxEmptied":
        return this.emit("emptied", undefined);
    }
  }

  /** Tells of a letter that came, once. */
  private show(id: LetterId): void {
    if (this.told.has(id)) return;
    this.told.add(id);
    this.repo.ask({ ask: "letter", letter: id }).then((letter) => {
      // Another tab may have forgotten it already.
      if (letter !== null) this.emit("received", letterOf(letter as EngineLetter));
    }, () => {});
  }

  private act(what: Post): Promise<unknown> {
    return this.repo.act({ act: "post", what });
  }
}

function letterOf({ id, sender, kind, content, ends }: EngineLetter): Letter {
  const bytes = bytesOf(content);
  return { id: id as LetterId, sender: sender as PeerId, kind, content: bytes, text: new TextDecoder().decode(bytes), ends: new Date(ends * 1_000) };
}
