/** The app: one repo, one notebook at a time, and the parts of the window kept in step with them. */

import { invitationIn, ticketIn, type Member, newSpaceId, type PeerId, type Repo } from "driftline";
import { Introducing } from "./introducing.ts";
import { type AccessNotice, accessNotice, waitingNotice } from "./model/access.ts";
import { Patience } from "./model/arriving.ts";
import { markHeld } from "./model/held.ts";
import { loadIdentity, saveIdentity, type Identity } from "./model/identity.ts";
import type { Note } from "./model/note.ts";
import { Notebook, UNNAMED } from "./model/notebook.ts";
import { saveOfflineChoice } from "./model/offline-choice.ts";
import { People } from "./model/people.ts";
import { appAddress, forgetRecent, loadRecent, parsePlace, placeFragment, relayEndpoint, saveFurtherRelays, saveRecent, shareLink } from "./model/places.ts";
import { statusOf, type Status } from "./model/status.ts";
import { type MemberLine, memberLines, nameOfKey, ticketLines } from "./model/members.ts";
import { notebookName } from "./model/welcome.ts";
import { writerLines } from "./model/writers.ts";
import { Arrivals } from "./view/arrivals.ts";
import type { Restoring } from "./view/restore-form.ts";
import type { ShareOffer } from "./view/share-panel.ts";
import { Shell } from "./view/shell.ts";
import type { Writers } from "./view/writers-panel.ts";

/** On windows narrower than this, the list and the note are two screens. As in `style/layout.css`. */
const NARROW = matchMedia("(max-width: 760px)");

/** Typing settles before the caret's place is told, so that a cursor is asked for at most this often. */
const CARET_MS = 60;

/** How long to wait for the next frame. */
const FRAME_MS_MAX = 100;
const DAY_MS = 86_400_000;
/** A key that is on its way may take this long before it is said that it is not here. */
const KEY_MS = 1_500;
/** A state that has lasted this long is worth telling. */
const ANNOUNCE_MS = 2_000;

/** Everything, running. */
export class App {
  readonly #repo: Repo;
  readonly #storage: Storage | null;
  readonly #shell: Shell;
  readonly #arrivals: Arrivals;
  readonly #introducing: Introducing;
  readonly #root: HTMLElement;
  #identity: Identity;
  #notebook!: Notebook;
  #people!: People;
  #note: string | null = null;
  #query = "";
  /** The notebook and the name that the list of recent ones has at its head. */
  #recorded = "";
  /** Whether this browser is marked as one that holds notes. */
  #isHeld = false;
  #isCrashed = false;
  /** Whether the empty window invites to restore what was here. */
  #isComingBack = false;
  /** While a new notebook is being founded. */
  #isBeginning = false;
  readonly #patience = new Patience();
  /** Since when the notebook's key is not here, if it is not. */
  #waitsSince: number | null = null;
  #isRefreshDue = false;
  #isKeepingAsked = false;
  #hasPushed = false;
  #caretTimer: ReturnType<typeof setTimeout> | undefined;
  /** The state last told to a screen reader, and the one that is told if it lasts. */
  #phase: Status["phase"] | null = null;
  #coming: Status["phase"] | null = null;
  #phaseTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(repo: Repo, storage: Storage | null, identity: Identity, root: HTMLElement, comeBack: (restoring: Restoring) => Promise<void>) {
    this.#repo = repo;
    this.#storage = storage;
    this.#identity = identity;
    this.#root = root;
    this.#introducing = new Introducing(repo, storage, {
      person: () => this.#identity.name,
      enter: (notebook) => {
        this.#enter(notebook);
        this.#remember(true);
        this.refresh();
      },
      refresh: () => this.refresh(),
    });
    this.#shell = new Shell(storage, identity, {
      onOpen: (note, isEntered) => this.#open(note, isEntered),
      onCreate: () => this.#create(),
      onDelete: (note) => this.#delete(note ?? this.#note),
      onRestore: (note) => this.#mayWrite && this.#notebook.note(note ?? this.#note)?.restore(),
      onSearch: (query) => {
        this.#query = query;
        this.refresh();
      },
      onBack: () => this.#back(),
      onLeave: () => (NARROW.matches ? this.#back() : this.#shell.list.focus()),
      onCaret: (field, anchor, head) => this.#point(field, anchor, head),
      onOnline: (isOnline) => repo.setOnline(isOnline),
      onIdentity: (changed) => this.#introduce(changed),
      onRename: (name) => this.#mayWrite && this.#notebook.rename(name),
      onNew: () => void this.#begin(),
      onJoin: (invitation) => void this.#join(invitation),
      onRefused: (typed) => this.#shell.toast.show("What you just typed came too late to be taken.", { label: "Copy it", run: () => void navigator.clipboard?.writeText(typed) }, true),
      writers: (note) => this.#writers(note),
      onForget: (notebook) => forgetRecent(storage, notebook),
      onStatus: (status) => this.#announce(status),
      onInvited: () => (this.#isComingBack ? this.#shell.backup.restore() : this.#create()),
      backup: { backup: () => repo.backup(), restore: (restoring) => comeBack(restoring) },
      devices: this.#introducing.sheet,
      share: {
        links: () => this.#links(),
        mayShare: () => (!this.#notebook.space.isOwned ? "open" : this.#notebook.space.access.mayShare ? "yes" : "no"),
        isSealed: () => this.#notebook.space.isSealed,
        share: (offer) => this.#share(offer),
        members: async () => [
          ...memberLines(await this.#loadMembers(), (key) => this.#shownName(key), this.#notebook.space.access.mayShare, Date.now()),
          ...ticketLines(await this.#introducing.given(this.#notebook.space.id), Date.now()),
        ],
        remove: (line) => this.#remove(line),
      },
      menu: () => ({
        mayWrite: this.#mayWrite,
        name: this.#notebook.name,
        notebook: this.#notebook.alias,
        recent: loadRecent(storage),
        deleted: this.#notebook.deletedNotes.map(({ id, headline }) => ({ id, headline })),
      }),
    });
    this.#arrivals = new Arrivals((sentence) => this.#shell.announcer.say(sentence));
    const refresh = (): void => this.refresh();
    repo.on("connections", refresh);
    repo.on("storage", refresh);
    repo.on("online", (isOnline) => {
      saveOfflineChoice(storage, !isOnline);
      refresh();
    });
    repo.on("trouble", ({ kind, message, document }) => {
      // What one may not do is said across the window.
      if (kind === "forbidden" && (document === undefined || !this.#mayWrite)) return;
      if (kind === "crash") this.#isCrashed = true;
      this.#shell.toast.show(message, kind === "crash" ? { label: "Reload", run: () => location.reload() } : null, kind === "crash");
      this.refresh();
    });
    // As before restoring, which did not come to its end if this page is still there.
    repo.on("close", () => this.offer("These notes are closed.", "Reload", () => location.reload()));
    for (const name of ["online", "offline", "resize"]) addEventListener(name, refresh);
    addEventListener("storage", () => {
      // Renamed in another tab.
      const renamed = loadIdentity(storage);
      if (JSON.stringify(renamed) !== JSON.stringify(this.#identity)) this.#introduce(renamed);
    });
    addEventListener("hashchange", () => this.#route());
    addEventListener("popstate", () => this.#route());
    // Times grow old, and the seconds until the next attempt pass, without anything happening.
    setInterval(refresh, 1_000);
    this.#introducing.begin(this.#shell);
    this.#route();
  }

  /** Shows what has changed, soon, once. */
  refresh(): void {
    if (this.#isRefreshDue) return;
    this.#isRefreshDue = true;
    const run = (): void => {
      if (!this.#isRefreshDue) return;
      this.#isRefreshDue = false;
      this.#refresh();
    };
    // A page that nobody sees draws no frames, and may not even know it; its title, and what it tells others, still count.
    requestAnimationFrame(run);
    setTimeout(run, FRAME_MS_MAX);
  }

  /** Shows a message with something to do about it, until it is dealt with. */
  offer(message: string, label: string, run: () => void): void {
    this.#shell.toast.show(message, { label, run }, true);
  }

  #refresh(): void {
    const { list, pane, peopleBar, waterline } = this.#shell;
    const notebook = this.#notebook as Notebook | undefined;
    if (notebook === undefined) return;
    const notice = this.#notice();
    this.#shell.allow(notice, this.#mayWrite);
    const notes = this.#query.trim() === "" ? notebook.notes : notebook.search(this.#query);
    if (this.#note === null && !NARROW.matches && this.#query === "" && notebook.isReady && notes[0]) this.#open(notes[0].id, false);
    const note = notebook.note(this.#note);
    pane.open(note ?? null);
    list.update(notes, this.#note, this.#query, (id) => this.#people.inNote(id), notebook.isReady);
    const headlineOf = (id: string): string | null => notebook.note(id)?.headline ?? null;
    peopleBar.update(this.#people.others, headlineOf);
    const here = note ? this.#people.inNote(note.id) : [];
    pane.update(here, this.#people.windows.filter((person) => person.note === this.#note), this.#invitation(notes));
    this.#shell.name(notebook.name);
    this.#people.visit(note?.id ?? null);
    this.#arrivals.update(this.#people.others, notebook.space.sync.peers > 0);
    const isNoteScreen = note !== undefined;
    document.body.dataset["screen"] = isNoteScreen ? "note" : "list";
    document.title = note ? `${note.headline} · ${notebook.name}` : `${notebook.name} · Driftline Notes`;
    const recorded = `${notebook.alias} ${notebook.name}`;
    if (notebook.isReady && this.#recorded !== recorded) {
      this.#recorded = recorded;
      saveRecent(this.#storage, { notebook: notebook.alias, name: notebook.name, opened: Date.now() });
    }
    if (notebook.isReady && notebook.name !== UNNAMED) this.#introducing.tell(notebook.space, notebook.name);
    // Not before something is on disk: whoever leaves sooner was not cleared.
    if (!this.#isHeld && this.#repo.storage.durable && notebook.handles.some((handle) => handle.saved.device)) {
      this.#isHeld = true;
      markHeld(this.#storage);
    }
    const { arriving, news } = this.#patience.look(notebook.space.sync.catchUp, Date.now());
    if (news !== null) this.#shell.announcer.say(news);
    waterline.update(
      statusOf({
        isCrashed: this.#isCrashed,
        isOnline: this.#repo.online,
        hasNetwork: navigator.onLine,
        connections: this.#repo.connections,
        notice,
        storage: this.#repo.storage,
        sync: notebook.space.sync,
        arriving,
        saved: notebook.handles.map((handle) => handle.saved),
        now: Date.now(),
      }),
      this.#repo.online,
    );
  }

  /** What is said to whoever may not write here. That a key is on its way is worth a word only once it has not come at once. */
  #notice(): AccessNotice | null {
    const { access, id } = this.#notebook.space;
    const giver = access.state === "none" ? this.#introducing.waitedFor(id) : null;
    if (giver !== null) return waitingNotice(giver);
    if (!access.waitsForKey) this.#waitsSince = null;
    else this.#waitsSince ??= Date.now();
    const isSoon = this.#waitsSince !== null && Date.now() - this.#waitsSince < KEY_MS;
    return accessNotice(isSoon ? { ...access, waitsForKey: false, mayWrite: true } : access, this.#notebook.notes.length > 0);
  }

  #invitation(notes: readonly Note[]): { title: string; text: string; button: string | null } {
    const notebook = this.#notebook;
    if (!notebook.isReady) return { title: "", text: "", button: null };
    const notice = this.#notice();
    this.#isComingBack = notebook.space.access.state === "none" && this.#introducing.waitedFor(notebook.space.id) === null && this.#repo.storage.isEmpty && this.#repo.storage.durable;
    if (this.#isComingBack) return { title: notice?.headline ?? "", text: `${notice?.words} Or was it yours, before this browser was cleared?`, button: "Restore from a backup" };
    if (notice?.isApart && notes.length === 0 && this.#query === "") return { title: notice.headline, text: notice.words, button: null };
    if (this.#note !== null && notebook.note(this.#note) === undefined) {
      return { title: "Not here yet", text: "This note has not reached this device. It shows as soon as someone who has it is connected.", button: null };
    }
    if (notes.length === 0 && this.#query === "" && notebook.awaited === 0) {
      if (!this.#mayWrite) return { title: "Nothing here yet", text: "Notes show here as soon as they reach this device.", button: null };
      const isReached = this.#repo.connections.some((connection) => connection.state === "connected");
      return isReached || notebook.space.sync.peers > 0 || notebook.deletedNotes.length > 0
        ? { title: "A clean beach", text: "Write the first note. Whoever has the link sees it appear.", button: "Write the first note" }
        : { title: "Nothing has washed up yet", text: "This notebook has not reached this device. If others wrote in it, their notes arrive when you are connected. You can begin already.", button: "Write a note" };
    }
    if (notebook.awaited > 0 && notes.length === 0) return { title: "On their way", text: "The notes of this notebook are known by name and still to arrive.", button: null };
    return this.#mayWrite ? { title: "", text: "Choose a note, or write a new one.", button: "New note" } : { title: "", text: "Choose a note.", button: null };
  }

  // ------------------------------------------------------------------------------------------------------ places

  #route(): void {
    const invitation = invitationIn(location.href) ?? ticketIn(location.href)?.link;
    if (invitation !== undefined) {
      void this.#join(invitation);
      return;
    }
    const place = parsePlace(location.hash) ?? { notebook: loadRecent(this.#storage)[0]?.notebook ?? "", note: null };
    if (place.notebook === "") {
      void this.#begin(true);
      return;
    }
    this.#enter(place.notebook);
    this.#note = place.note;
    if (parsePlace(location.hash) === null) this.#remember(false);
    this.refresh();
  }

  /** A new notebook of one's own, with a name and a first note. What is in it is for its members alone: no relay can read it. */
  async #begin(isReplacing = false): Promise<void> {
    if (this.#isBeginning) return;
    this.#isBeginning = true;
    // What is kept here and on no list: it was restored, or only the list was cleared.
    const [kept, ...others] = isReplacing ? await this.#repo.heldSpaces().catch(() => []) : [];
    if (kept !== undefined) {
      for (const notebook of others) saveRecent(this.#storage, { notebook, name: UNNAMED, opened: Date.now() });
      this.#isBeginning = false;
      this.#enter(kept);
      this.#remember(false);
      return this.refresh();
    }
    // Where none can be founded, an open one with a name that nobody guesses is better than none.
    const id = await this.#repo.foundSpace({ sealed: true }).then((space) => space.id, () => newSpaceId());
    this.#isBeginning = false;
    this.#enter(id);
    this.#note = null;
    const notebook = this.#notebook;
    notebook.rename(notebookName(new Set(loadRecent(this.#storage).map(({ name }) => name))));
    const welcome = notebook.welcome();
    if (!NARROW.matches) this.#note = welcome.id;
    this.#remember(!isReplacing);
    this.refresh();
  }

  /** Comes in by a link. What the link says is a secret: it does not stay in the address, nor in the history. */
  async #join(invitation: string): Promise<void> {
    if (ticketIn(invitation) !== undefined) return this.#ask(invitation);
    try {
      const space = await this.#repo.join(invitation, { note: this.#identity.name });
      const own = relayEndpoint(new URL(location.href));
      saveFurtherRelays(this.#storage, this.#repo.connections.map(({ endpoint }) => endpoint).filter((endpoint) => endpoint !== own));
      this.#enter(space.id);
      if (invitationIn(location.href) === undefined) this.#remember(true);
      else this.#remember(false);
      this.#shell.announcer.say(space.access.mayWrite ? "You are in. You can read and write here." : "You are in.");
      this.refresh();
    } catch (error) {
      this.#turnBack(error);
    }
  }

  /** Asks to be let in by a link for one person, or to be linked by one for a device. */
  async #ask(link: string): Promise<void> {
    try {
      const isByAddress = ticketIn(location.href) !== undefined;
      const notebook = await this.#introducing.ask(link);
      if (notebook === null) {
        if (isByAddress) this.#clearAddress();
        return this.#route();
      }
      this.#enter(notebook);
      this.#remember(!isByAddress);
      this.refresh();
    } catch (error) {
      this.#turnBack(error);
    }
  }

  /** A link led nowhere. */
  #turnBack(error: unknown): void {
    if (invitationIn(location.href) !== undefined || ticketIn(location.href) !== undefined) this.#clearAddress();
    this.#route();
    const why = error instanceof Error ? error.message : String(error);
    this.#shell.toast.show(`${why.charAt(0).toUpperCase()}${why.slice(1)}.`, null, true);
  }

  #clearAddress(): void {
    history.replaceState(null, "", `${location.pathname}${location.search}`);
  }

  #enter(nameOrId: string): void {
    const open = this.#notebook as Notebook | undefined;
    if (open && (open.id === nameOrId || open.alias === nameOrId)) return;
    clearTimeout(this.#caretTimer);
    this.#shell.pane.open(null);
    this.#people?.close();
    open?.close();
    this.#note = null;
    this.#waitsSince = null;
    this.#query = this.#shell.list.search.value = "";
    this.#notebook = new Notebook(this.#repo, nameOrId, () => this.refresh());
    this.#people = new People(this.#repo, this.#notebook.space, this.#identity, () => this.refresh());
    this.#arrivals.reset();
    // At once: not a key may be taken that cannot be put into a note.
    this.#notebook.space.on("access", () => this.#refresh());
    if (!this.#shell.element.isConnected) this.#root.replaceChildren(this.#shell.element);
  }

  #remember(isNew: boolean): void {
    const fragment = placeFragment({ notebook: this.#notebook.alias, note: this.#note });
    if (location.hash === fragment) return;
    if (isNew) history.pushState(null, "", fragment);
    else history.replaceState(null, "", fragment);
    this.#hasPushed = isNew;
  }

  #links(): { notebook: string; note: string | null } {
    const notebook = this.#notebook.alias;
    const address = new URL(location.href);
    return {
      notebook: shareLink({ notebook, note: null }, address),
      note: this.#note === null ? null : shareLink({ notebook, note: this.#note }, address),
    };
  }

  // ------------------------------------------------------------------------------------------------------- notes

  #open(note: string, isEntered: boolean): void {
    this.#note = note;
    this.#remember(NARROW.matches);
    this.#shell.pane.open(this.#notebook.note(note) ?? null);
    this.refresh();
    if (isEntered) this.#shell.pane.focus();
  }

  get #mayWrite(): boolean {
    return this.#notebook.space.access.mayWrite;
  }

  #create(): void {
    if (!this.#mayWrite) return;
    this.#query = this.#shell.list.search.value = "";
    this.#open(this.#notebook.create().id, false);
    document.body.dataset["screen"] = "note";
    this.#shell.pane.startWriting();
  }

  #delete(id: string | null): void {
    const note = this.#notebook.note(id);
    if (!note || note.isDeleted || !this.#mayWrite) return;
    const order = this.#notebook.notes.map((each) => each.id as string);
    const at = order.indexOf(note.id);
    const { headline } = note;
    note.delete();
    if (this.#note === note.id) {
      const next = order[at + 1] ?? order[at - 1] ?? null;
      this.#note = NARROW.matches ? null : next;
      this.#remember(false);
    }
    this.#refresh();
    this.#shell.list.focus();
    this.#shell.toast.show(`“${headline}” was deleted.`, {
      label: "Undo",
      run: () => {
        note.restore();
        this.#open(note.id, false);
        this.#refresh();
        this.#shell.list.focus();
      },
    });
  }

  #back(): void {
    if (this.#hasPushed) {
      this.#hasPushed = false;
      history.back();
    } else {
      this.#note = null;
      this.#remember(false);
      this.#refresh();
    }
    this.#shell.list.focus();
  }

  // ----------------------------------------------------------------------------------------------------- members

  async #loadMembers(): Promise<readonly Member[]> {
    const { space } = this.#notebook;
    if (!space.isOwned) return [];
    return space.members().catch(() => []);
  }

  /** By what name someone shows themselves at this moment. */
  #shownName(key: PeerId): string | null {
    if (key === this.#repo.peerId) return this.#identity.name;
    return this.#people.windows.find((person) => person.peerId === key)?.name ?? null;
  }

  async #share({ mayWrite, days, note, isOnce }: ShareOffer): Promise<string> {
    const { space } = this.#notebook;
    const offer = {
      level: mayWrite ? "write" : "presence",
      note,
      app: appAddress(new URL(location.href)),
      ...(days === null ? {} : { ends: new Date(Date.now() + days * DAY_MS) }),
    } as const;
    return isOnce ? (await space.shareOnce({ ...offer, from: this.#identity.name })).link : space.share(offer);
  }

  async #remove({ key, name, isLink, ticket }: MemberLine): Promise<void> {
    try {
      if (ticket !== null) {
        await this.#repo.introductions.takeBack(ticket);
        return this.#shell.toast.show(`${name} was taken back.`);
      }
      await this.#notebook.space.revoke(key);
      const isHeard = this.#repo.connections.some((connection) => connection.state === "connected");
      const done = isLink ? `${name} was taken back` : `${name} was removed`;
      this.#shell.toast.show(isHeard ? `${done}.` : `${done} on this device. It counts for others once this device is connected.`);
    } catch (error) {
      this.#shell.toast.show(`${name} was not removed: ${error instanceof Error ? error.message : String(error)}.`, null, true);
    }
  }

  async #writers(note: Note): Promise<Writers> {
    if (!note.handle.space.isOwned) return null;
    const [members, authorship] = [await this.#loadMembers(), await note.handle.authorship()];
    const nameOf = (key: PeerId): string => `${nameOfKey(key, members, (shown) => this.#shownName(shown))}${key === this.#repo.peerId ? " (you)" : ""}`;
    return writerLines(authorship, nameOf);
  }

  // ------------------------------------------------------------------------------------------------------ people

  #introduce(identity: Identity): void {
    this.#identity = identity;
    saveIdentity(this.#storage, identity);
    this.#people.introduce(identity);
    this.#shell.peopleBar.introduce(identity);
    this.refresh();
  }

  /** Some browsers ask people before they promise to keep things; that makes sense only once there is something to keep. */
  #keep(): void {
    if (this.#isKeepingAsked || !this.#repo.storage.durable || this.#repo.storage.persisted) return;
    this.#isKeepingAsked = true;
    void navigator.storage?.persist?.().catch(() => undefined);
  }

  #point(field: "title" | "body" | null, anchor: number, head: number): void {
    clearTimeout(this.#caretTimer);
    const note = this.#notebook.note(this.#note);
    if (!note || field === null) {
      this.#people.point(null);
      return;
    }
    this.#keep();
    const people = this.#people;
    this.#caretTimer = setTimeout(() => {
      const path = [field];
      void Promise.all([note.handle.cursor(path, anchor), anchor === head ? null : note.handle.cursor(path, head)]).then(
        ([from, to]) => {
          if (this.#note === note.id && people === this.#people) people.point({ field, anchor: from, head: to ?? from });
        },
        () => undefined,
      );
    }, CARET_MS);
  }

  // ------------------------------------------------------------------------------------------------------- news

  /** Tells a screen reader of the state of things when it has changed for good, and not of every save. */
  #announce(status: Status): void {
    const { phase } = status;
    // What one may do is said where it changes.
    if (phase === this.#coming || phase === "apart") return;
    this.#coming = phase;
    clearTimeout(this.#phaseTimer);
    if (phase === "syncing" || phase === "connecting" || phase === this.#phase) return;
    const isFirst = this.#phase === null;
    this.#phaseTimer = setTimeout(() => {
      this.#phase = phase;
      if (!isFirst || status.isWarning) this.#shell.announcer.say(`${status.headline}, ${status.addition}.`);
    }, ANNOUNCE_MS);
  }
}

