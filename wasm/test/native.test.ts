// Between this package and the native program, where there is one to try: letters, backups, and a relay that wants a token.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { didOf, Repo, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { freePort, inFolder, kill, NATIVE, run, startRelay } from "./support/native.js";
import { Profile } from "./support/profile.js";

interface Note {
  body: string;
}

test("letters from a page to the native program and back, each while the other is away and across a relay that is killed", NATIVE, () =>
  inFolder(async (folder) => {
    const port = await freePort();
    const endpoint = `ws://127.0.0.1:${port}/sync`;
    const data = join(folder, "relay");
    let relay = await startRelay(port, data);
    const native = (...words: string[]): Promise<string> => run([...words, "--relay", endpoint, "--data", join(folder, "native")]);
    const inbox = async (): Promise<{ key: string; letters: { id: string; from: string; kind: string; content: string }[] }> =>
      JSON.parse(await native("inbox", "--json")) as never;
    const { key } = await inbox();

    const storage = { file: join(folder, "page") };
    const page = await Repo.open({ relays: [endpoint], storage });
    const id = await page.letters.send(key, "note", "from a page");
    await page.letters.whenKept(id, { timeout: 10_000 });
    const { address } = page.letters;
    await page.close();
    await kill(relay);
    relay = await startRelay(port, data);
    const [came] = (await inbox()).letters;
    assert.deepEqual([came?.id, came?.from, came?.kind, came?.content], [id, address, "note", "from a page"]);

    // An invitation from there, which is joined by here.
    const { space } = JSON.parse(await native("space", "create", "--owned", "--json")) as { space: string };
    const document = await native("doc", "create", "--space", space, "--value", '{"body": "native"}', "--wait", "relay");
    await native("share", "--space", space, "--write", "--to", address);
    const again = await Repo.open({ relays: [endpoint], storage });
    await again.letters.whenFetched({ timeout: 10_000 });
    const [letter] = await again.letters.received();
    assert.deepEqual([letter?.kind, didOf(letter?.sender as never)], ["invitation", key]);
    const joined = await again.join(letter?.text ?? "");
    const note = joined.find<Note>(document);
    await note.whenReady({ timeout: 10_000 });
    assert.equal(note.doc()?.body, "native");
    assert.equal(await again.letters.forget(letter?.id as never), true);
    await again.close();
    await kill(relay);
  }));

test("a backup of a page's comes back natively, and one made natively in a page; both are who they were", NATIVE, () =>
  inFolder(async (folder) => {
    const port = await freePort();
    const endpoint = `ws://127.0.0.1:${port}/sync`;
    const relay = await startRelay(port, join(folder, "relay"));
    const profile = new Profile();
    const { repo } = await profile.open({ relays: [endpoint] });
    const space = await repo.foundSpace({ sealed: true });
    const note = space.create<Note>({ body: "" });
    for (let n = 0; n < 200; n++) note.change((d) => splice(d, ["body"], 0, 0, "x"));
    await note.whenSaved({ relays: 1 }, { timeout: 10_000 });
    const { file, phrase } = await repo.backup();
    const { address } = repo.letters;
    await repo.close();
    const [of, native, words] = [join(folder, "page.backup"), join(folder, "native"), join(folder, "words")];
    writeFileSync(of, file);
    writeFileSync(words, phrase);
    const restored = JSON.parse(await run(["restore", of, "--into", native, "--phrase-file", words, "--json"])) as Record<string, unknown>;
    assert.deepEqual([restored["key"], restored["documents"]], [address, 1]);
    assert.match(await run(["verify", native]), /everything checks out/);
    // Without a relay: it reads what was sealed, and is the owner.
    const doc = (...words: string[]): Promise<string> => run(["doc", ...words, "--data", native, "--space", space.id]);
    assert.equal(await doc("get", note.id, "body"), "x".repeat(200));
    await doc("set", note.id, "by", '"native"');

    const back = join(folder, "native.backup");
    await run(["backup", native, "--to", back]);
    assert.equal(await run(["backup", native, "--phrase"]), phrase);
    const { repo: again } = await new Profile().open({ restore: { phrase, file: new Uint8Array(readFileSync(back)) } });
    assert.equal(again.letters.address, address);
    const same = again.space(space.id).find<Note & { by: string }>(note.id);
    await same.whenReady({ timeout: 10_000 });
    assert.deepEqual(same.doc(), { body: "x".repeat(200), by: "native" });
    await eventually("it is the owner", () => again.space(space.id).access.state === "owner");
    same.change((d) => splice(d, ["body"], 0, 200, "merged"));
    again.addRelay(endpoint);
    await same.whenSaved({ relays: 1 }, { timeout: 10_000 });
    await again.close();
    assert.equal(await run(["doc", "get", note.id, "body", "--data", native, "--space", space.id, "--relay", endpoint, "--wait", "relay"]), "merged");
    await kill(relay);
  }));

test("a relay that wants a token says so, lets in who shows one, and is not talked about with it", NATIVE, () =>
  inFolder(async (folder) => {
    const tokens = join(folder, "tokens");
    const token = await run(["token", "--file", tokens, "--note", "Ben"]);
    const port = await freePort();
    const endpoint = `ws://127.0.0.1:${port}/sync`;
    const relay = await startRelay(port, join(folder, "relay"), "--access", "token", "--tokens", tokens);
    const repo = await Repo.open({ relays: [endpoint], storage: "memory" });
    const wants = (): boolean => repo.connections.some(({ state, wantsToken, reason }) => state === "waiting" && wantsToken === true && /ask its operator/.test(reason ?? ""));
    await eventually("it is told what is wanted", wants);
    repo.addRelay({ url: endpoint, token: "drift_wrong" });
    await eventually("another is wanted", wants);
    repo.addRelay({ url: endpoint, token });
    await eventually("it is let in", () => repo.connections.some(({ state }) => state === "connected"));
    const note = repo.space("harbour").create<Note>({ body: "invited" });
    await note.whenSaved({ relays: 1 }, { timeout: 10_000 });
    assert.ok(!JSON.stringify(repo.connections).includes(token));
    await repo.close();
    // As people paste it.
    const pasted = await Repo.open({ relays: [`${endpoint}?token=${token}`], storage: "memory" });
    await eventually("it is let in, too", () => pasted.connections.some(({ endpoint: shown, state }) => state === "connected" && shown === endpoint));
    await pasted.close();
    await kill(relay);
  }));
