// Several clients of one server in one process, and what they are told to do. The same for every peer: a peer's file has
//
//   Client.connect(port, number, space)   one client, connected; number is its own among those of this process
//     .create(name, letters)              a document with a text of so many letters: a Text
//     .open(id)                           the document of this id, once its text is here: a Text
//     .bring(files)                       the long document of these files, kept by the server: a Text
//     .leave(), .comeBack()               without the network, and with it again
//   Text.id                               by which others open it
//     .length                             letters that this client has
//     .text                               these letters, for peers whose clients meet in pairs
//     .append(letter)                     one edit, as an app makes it
//     .whenChanged(call)                  calls after every change, from wherever
//
// and serve(port, folder), which starts its server.

import { bytes, now, quiet, sleep } from "./sockets.mjs";

/** Edits made in one go by someone who writes as fast as they can, before the sockets have their turn. */
const EDITS_AT_ONCE = 50;
const LETTERS = "a letter at a time ";
const SETTLING_MS_MAX = 60_000;
/** Clients that connect at the same time. */
const CONNECTING = 50;

export class Clients {
  constructor(Client, port) {
    Object.assign(this, { Client, port, clients: [], texts: [], watching: undefined });
  }

  /** So many clients more, in one space, or `apart` each in a space of its own where the peer knows spaces. */
  async connect({ count, apart = false }) {
    for (let at = 0; at < count; at += CONNECTING) {
      const numbers = Array.from({ length: Math.min(CONNECTING, count - at) }, () => this.clients.length).map((base, n) => base + n);
      this.clients.push(...(await Promise.all(numbers.map((n) => this.Client.connect(this.port, n, apart ? `apart ${n}` : "together")))));
    }
  }

  /** New documents of the first client; or of each client in turn. */
  async create({ documents, letters, each = false }) {
    const text = LETTERS.repeat(Math.ceil(letters / LETTERS.length)).slice(0, letters);
    for (let n = 0; n < documents; n++) this.texts.push(await this.clients[each ? n % this.clients.length : 0].create(`doc-${n}`, text));
    await quiet(SETTLING_MS_MAX);
    return { ids: this.texts.map(({ id }) => id) };
  }

  /** The long document, from files. */
  async bring({ files }) {
    this.texts.push(await this.clients[0].bring(files));
    await quiet(SETTLING_MS_MAX);
    return { ids: this.texts.map(({ id }) => id), length: this.texts[0].length };
  }

  /** Every client opens every document; answers when all have them, in milliseconds. */
  async open({ ids }) {
    const began = now();
    const opening = this.clients.flatMap((client) => ids.map((id) => client.open(id)));
    this.texts.push(...(await Promise.all(opening)));
    const ms = now() - began;
    await quiet(SETTLING_MS_MAX);
    return { ms, ...bytes(), lengths: this.texts.map(({ length }) => length) };
  }

  /** Every document is opened by one more client, the next after the one that made it: then its two texts are a pair. Each opens one after the other. */
  async pair() {
    const { clients, texts } = this;
    this.pairs = texts.map((text) => [text]);
    const openAll = async (client, number) => {
      for (const [n, pair] of this.pairs.entries()) {
        if ((n + 1) % clients.length === number) pair.push(await client.open(pair[0].id));
      }
    };
    await Promise.all(clients.map(openAll));
    await quiet(SETTLING_MS_MAX);
  }

  /**
   * So many edits, so many a second, in all pairs in turn, each time on both sides at once; then until both sides of all pairs read the same and have
   * this length, or the time is over. In milliseconds from the last edit.
   */
  async together({ edits, perSecond, length, seconds }) {
    const [before, start] = [bytes(), now()];
    for (let n = 0; n < edits; n += 2) {
      await sleep(Math.max(0, start + (n * 1_000) / perSecond - now()));
      for (const text of this.pairs[(n / 2) % this.pairs.length]) text.append(LETTERS[n % LETTERS.length]);
    }
    const edited = now();
    const isEqual = () => this.pairs.every(([one, other]) => one.length === length && one.text === other.text);
    while (!isEqual() && now() - edited < seconds * 1_000) await sleep(20);
    const [ms, complete] = [now() - edited, isEqual()];
    await quiet(SETTLING_MS_MAX);
    const { up, down } = bytes();
    return { ms, complete, editSeconds: (edited - start) / 1_000, up: up - before.up, down: down - before.down };
  }

  /** From now on notes when each of the texts has a letter more. */
  watch() {
    const arrived = this.texts.map(() => []);
    this.texts.forEach((text, n) => {
      const from = text.length;
      text.whenChanged(() => {
        const at = Math.round(now() * 100) / 100;
        while (arrived[n].length < text.length - from) arrived[n].push(at);
      });
    });
    this.watching = { arrived, before: bytes() };
  }

  /** What came of it, when all have so many or this time is over. */
  async watched({ edits, seconds }) {
    const { arrived, before } = this.watching;
    const end = now() + seconds * 1_000;
    while (now() < end && arrived.some((times) => times.length < edits)) await sleep(20);
    return { arrived, down: bytes().down - before.down };
  }

  /** Appends to the first text: so many letters a second, or as fast as it goes, and no longer than so many seconds. */
  async write({ edits, perSecond = 0, seconds }) {
    const [text] = this.texts;
    const [start, at] = [now(), []];
    for (let n = 0; n < edits && now() - start < seconds * 1_000; n++) {
      if (perSecond > 0) await sleep(Math.max(0, start + (n * 1_000) / perSecond - now()));
      else if (n % EDITS_AT_ONCE === 0) await new Promise((done) => setImmediate(done));
      at.push(Math.round(now() * 100) / 100);
      text.append(LETTERS[n % LETTERS.length]);
    }
    return { at, ms: now() - start };
  }

  /** One letter to each of these documents, and then until the server has it. */
  async touch({ numbers }) {
    for (const n of numbers) this.texts[n].append("x");
    await quiet(SETTLING_MS_MAX);
  }

  async leave() {
    for (const client of this.clients) client.leave();
    await sleep(500);
  }

  /** With the network again, until the texts are as long as they should be, and then until nothing more is said. */
  async comeBack({ lengths, seconds }) {
    const [before, began] = [bytes(), now()];
    const isThere = () => this.texts.every(({ length }, n) => length === lengths[n]);
    for (const client of this.clients) client.comeBack();
    while (!isThere() && now() - began < seconds * 1_000) await sleep(2);
    const [ms, complete] = [now() - began, isThere()];
    const last = await quiet(SETTLING_MS_MAX);
    const { up, down } = bytes();
    return { ms, quietMs: last - began, complete, up: up - before.up, down: down - before.down };
  }
}
