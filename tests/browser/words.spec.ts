import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member, PeerId, SpaceAccess } from "../../wasm/ts/api.ts";
import { accessNotice } from "../../web-demo/src/model/access.ts";
import { arrivingOf, Patience, SHOWN_AFTER_MS } from "../../web-demo/src/model/arriving.ts";
import { memberLines, shortKey } from "../../web-demo/src/model/members.ts";
import { parsePlace, placeFrom, placeFragment, relayEndpoint, shareLink } from "../../web-demo/src/model/places.ts";
import { type StatusFacts, statusOf } from "../../web-demo/src/model/status.ts";
import { writerLines } from "../../web-demo/src/model/writers.ts";
import { ago, headline, plain, snippet } from "../../web-demo/src/model/words.ts";

/** Connected, all saved everywhere. */
const WELL: StatusFacts = {
  isCrashed: false,
  isOnline: true,
  hasNetwork: true,
  connections: [{ endpoint: "wss://notes.example/sync", state: "connected", relay: true }],
  storage: { kind: "opfs", durable: true, persisted: true, isEmpty: true },
  sync: { peers: 1, inSync: 1, behind: 0 },
  saved: [{ level: "replicas", device: true, replicas: 1, relays: 1, unsaved: 0 }],
  now: 1_000_000,
};
const UNSAVED = { level: "memory", device: false, replicas: 0, relays: 0, unsaved: 2 } as const;
const ON_DEVICE = { level: "device", device: true, replicas: 0, relays: 0, unsaved: 0 } as const;

test("The status line never says that the relay has what it may not have.", () => {
  const everyWay: Partial<StatusFacts>[] = [
    { saved: [...WELL.saved, UNSAVED] },
    { saved: [...WELL.saved, ON_DEVICE] },
    { sync: { peers: 1, inSync: 0, behind: 0 } },
    { sync: { peers: 1, inSync: 1, behind: 3 } },
    { sync: { peers: 0, inSync: 0, behind: 0 } },
    { sync: { peers: 1, inSync: 1, behind: 0, catchUp: { documents: { done: 1, total: 9 }, bytes: { done: 100 } } } },
    { isOnline: false },
    { isCrashed: true },
    { connections: [{ endpoint: "wss://x/sync", state: "waiting", relay: false, retryAt: 1_004_000, reason: "refused" }] },
    { connections: [{ endpoint: "wss://x/sync", state: "connecting", relay: false }] },
  ];
  assert.equal(statusOf(WELL).headline, "Saved on the relay");
  for (const way of everyWay) {
    const status = statusOf({ ...WELL, ...way });
    assert.notEqual(status.phase, "relay", JSON.stringify(way));
    assert.doesNotMatch(status.headline, /Saved/, JSON.stringify(way));
  }
});

test("It never says that this device has what is not on disk yet.", () => {
  for (const isOnline of [true, false]) {
    assert.match(statusOf({ ...WELL, isOnline, saved: [UNSAVED] }).addition, /saving on this device/);
    const memory = statusOf({ ...WELL, isOnline, storage: { kind: "memory", durable: false, persisted: false, isEmpty: true, warning: "Gone when the tab closes." } });
    assert.doesNotMatch(memory.addition, /saved on this device/);
    assert.equal(memory.isWarning, true);
    assert.equal(memory.details[0]?.text, "Gone when the tab closes.");
  }
});

test("It says what is wrong, and when it tries again.", () => {
  const away = statusOf({ ...WELL, connections: [{ endpoint: "wss://notes.example/sync", state: "waiting", relay: false, retryAt: 1_004_000, reason: "connection refused" }] });
  assert.equal(away.headline, "Relay out of reach");
  assert.equal(away.details[1]?.text, "notes.example does not answer. Connection refused. Trying again in 4 s.");
  assert.equal(statusOf({ ...WELL, hasNetwork: false, connections: [{ endpoint: "wss://x/sync", state: "waiting", relay: false }] }).headline, "No network");
  assert.equal(statusOf({ ...WELL, isOnline: false }).headline, "Working offline");
});

test("What is on its way shows once it has taken a while, and nothing is made up about it.", () => {
  const patience = new Patience();
  const coming = { documents: { done: 3, total: 12 }, bytes: { done: 40_000 } };
  assert.equal(patience.look(coming, 1_000).arriving, null, "it may be over in a moment");
  const shown = patience.look(coming, 1_000 + SHOWN_AFTER_MS);
  assert.deepEqual(shown, { arriving: { share: 0.25, words: "3 of 12 notes, 40 kB" }, news: "Notes are arriving: 3 of 12 notes, 40 kB." });
  assert.equal(patience.look({ ...coming, documents: { done: 4, total: 12 } }, 3_000).news, null, "not each of them is news");
  assert.deepEqual(patience.look(undefined, 4_000), { arriving: null, news: "All notes have arrived." });
  assert.equal(patience.look(undefined, 5_000).news, null);
  const status = statusOf({ ...WELL, sync: { peers: 1, inSync: 0, behind: 9 }, arriving: shown.arriving });
  assert.deepEqual([status.headline, status.addition, status.phase], ["Catching up…", "3 of 12 notes, 40 kB", "syncing"]);
  assert.deepEqual(arrivingOf({ documents: { done: 3 }, bytes: { done: 1_300_000 } }), { share: null, words: "3 notes so far, 1.3 MB" });
  assert.deepEqual(arrivingOf({ documents: { done: 0, total: 1 }, bytes: { done: 65_000, total: 130_000 } }), { share: 0.5, words: "65 kB of 130 kB of a long note" });
});

test("A note goes by its title, or by the first line that says something.", () => {
  assert.equal(headline(" Title ", "body"), "Title");
  assert.equal(headline("", "\n\n## A *fine* **head**\nmore"), "A fine head");
  assert.equal(headline("", "- [ ] call [them](https://x.example)"), "call them");
  assert.equal(headline("  ", " \n "), "Untitled note");
  assert.equal(snippet("", "First\n\nSecond\n- third"), "Second · third");
  assert.equal(snippet("T", "First\n\nSecond"), "First · Second");
  assert.equal(plain("2 * 3 * 4 and snake_case_name"), "2 * 3 * 4 and snake_case_name");
});

test("Links survive being given on, and what is not a link is not taken for one.", () => {
  const place = { notebook: "team notes/älg", note: "4Ab" };
  assert.deepEqual(parsePlace(placeFragment(place)), place);
  assert.equal(parsePlace(""), null);
  assert.equal(parsePlace("#"), null);
  assert.deepEqual(placeFrom("https://n.example/?relay=wss%3A%2F%2Fr#abc/def"), { notebook: "abc", note: "def" });
  assert.deepEqual(placeFrom(" crew "), { notebook: "crew", note: null });
  assert.equal(placeFrom("https://n.example/"), null);
  assert.equal(shareLink({ notebook: "a", note: null }, new URL("https://n.example/x/?relay=wss://r/sync&utm=1#b")), "https://n.example/x/?relay=wss%3A%2F%2Fr%2Fsync#a");
  assert.equal(relayEndpoint(new URL("https://n.example/x/#a")), "wss://n.example/sync");
  assert.equal(relayEndpoint(new URL("http://localhost:8080/?relay=ws://other:1/sync")), "ws://other:1/sync");
  assert.equal(relayEndpoint(new URL("http://localhost:8080/?relay=javascript:x")), "ws://localhost:8080/sync");
});

test("Times are said as people say them.", () => {
  const now = new Date(2026, 5, 17, 15, 0).getTime();
  assert.equal(ago(now - 5_000, now), "just now");
  assert.equal(ago(now + 90_000, now), "just now", "another's clock may be ahead");
  assert.equal(ago(now - 12 * 60_000, now), "12 min ago");
  assert.match(ago(now - 4 * 3_600_000, now), /11/);
  assert.match(ago(now - 400 * 86_400_000, now), /2025/);
});

const OPEN: SpaceAccess = { state: "open", level: "admin", waitsForKey: false, mayWrite: true, mayShare: false };
const READER: SpaceAccess = { state: "member", level: "presence", waitsForKey: false, mayWrite: false, mayShare: false };

test("Whoever may not write is told so, and what they keep; whoever may is told nothing.", () => {
  for (const access of [OPEN, { ...READER, level: "write", mayWrite: true }, { ...READER, state: "owner", level: "admin", mayWrite: true, mayShare: true }, { ...READER, state: "unknown", level: null }] as const) {
    assert.equal(accessNotice(access), null, access.state);
  }
  assert.deepEqual([accessNotice(READER)?.headline, accessNotice(READER)?.isApart], ["Read only", false]);
  for (const state of ["expired", "revoked", "none"] as const) assert.equal(accessNotice({ ...READER, state, level: null })?.isApart, true);
  assert.match(accessNotice({ ...READER, state: "revoked", level: null })?.words ?? "", /You keep the notes/);
  assert.match(accessNotice({ ...READER, state: "revoked", level: null }, false)?.words ?? "", /taken back/);
  assert.match(accessNotice({ ...READER, refusal: "space 123 is not synced here" })?.words ?? "", /taken back/);
  const waiting = accessNotice({ ...READER, level: "write", waitsForKey: true });
  assert.deepEqual([waiting?.headline, waiting?.isApart], ["Waiting for the key", true]);
  assert.equal(accessNotice({ ...READER, state: "none", level: null, waitsForKey: true })?.headline, "Not let in", "who was not let in waits for nothing");
  const removed = statusOf({ ...WELL, notice: accessNotice({ ...READER, state: "revoked", level: null }), sync: { peers: 0, inSync: 0, behind: 0 } });
  assert.deepEqual([removed.phase, removed.headline, removed.details[0]?.tone], ["apart", "Removed", "bad"]);
  assert.equal(statusOf({ ...WELL, notice: accessNotice(READER) }).phase, "relay", "reading is no trouble");
});

test("Members are people and links, each once, with what they may do.", () => {
  const now = new Date(2026, 5, 17, 15, 0).getTime();
  const base = { note: "", isOwner: false, isLink: false, isSelf: false, isDevice: false, state: "good" } as const;
  const [owner, link, ben, gone] = ["aa", "bb", "cc", "dd"].map((byte) => byte.repeat(32) as PeerId) as [PeerId, PeerId, PeerId, PeerId];
  const members: Member[] = [
    { ...base, key: owner, level: "admin", isOwner: true, isSelf: true },
    { ...base, key: link, level: "presence", by: owner, isLink: true, note: "Crew", ends: new Date(now + 3 * 86_400_000) },
    { ...base, key: ben, level: "presence", by: link, note: "Ben" },
    { ...base, key: ben, level: "write", by: owner, note: "Ben" },
    { ...base, key: gone, level: "write", by: link, note: "Gone", state: "revoked" },
  ];
  const lines = memberLines(members, (key) => (key === owner ? "Ada" : null), true, now);
  assert.deepEqual(lines.map(({ name }) => name), ["Ada (you)", "Ben", "Link “Crew”"]);
  assert.deepEqual(lines.map(({ words }) => words.replace(/until .*,/, "until,")), ["owner", "can write", "can read, until, 1 person came by it"]);
  assert.deepEqual(lines.map(({ isRemovable }) => isRemovable), [false, true, true]);
  assert.equal(memberLines(members, () => null, false, now).some(({ isRemovable }) => isRemovable), false);
  const writers = writerLines([{ actor: "1", writer: ben, changes: 3, attested: 3 }, { actor: "2", writer: ben, changes: 4, attested: 2 }, { actor: "3", writer: gone, changes: 9, attested: 9 }, { actor: "4", changes: 1, attested: 0 }], (key) => (key === ben ? "Ben" : shortKey(key)));
  assert.deepEqual(writers.map(({ name, words, isVouched }) => [name, words, isVouched]), [
    ["key dddddddd", "9 changes, all signed and checked", true],
    ["Ben", "7 changes, 5 of them signed and checked so far", false],
  ]);
});
