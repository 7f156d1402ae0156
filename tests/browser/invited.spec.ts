import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Repo } from "../../wasm/ts/api.ts";
import { packageSite } from "./harness/package-site.ts";
import { Profile } from "./harness/profile.ts";
import { BINARY, Relay } from "./harness/relay.ts";

/** What the page has of the package. */
type Page = typeof globalThis & { driftline: { Repo: { open(options: object): Promise<Repo> } }; repo: Repo };

test("A page is told by a relay that wants a token that it does, and is let in with one; a letter waits there for someone who is away.", { timeout: 90_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "driftline-invited-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const run = async (...words: string[]): Promise<string> => (await promisify(execFile)(BINARY, words)).stdout.trim();
  const tokens = join(folder, "tokens");
  const token = await run("token", "--file", tokens);
  const relay = await Relay.start("--access", "token", "--tokens", tokens);
  t.after(() => relay.close());
  const native = (...words: string[]): Promise<string> => run(...words, "--relay", relay.endpoint, "--token", token, "--data", join(folder, "native"), "--json");
  const { key } = JSON.parse(await native("inbox")) as { key: string };

  const mara = await Profile.open(t);
  const page = await mara.page(await packageSite(t));
  await page.waitForFunction(() => "driftline" in globalThis);
  const told = await page.evaluate(async (endpoint) => {
    const global = globalThis as Page;
    global.repo = await global.driftline.Repo.open({ relays: [endpoint] });
    for (;;) {
      const [connection] = global.repo.connections;
      if (connection?.wantsToken) return connection.reason;
      await new Promise((done) => setTimeout(done, 20));
    }
  }, relay.endpoint);
  assert.equal(told, "this relay wants a token: ask its operator for one");
  const sent = await page.evaluate(async ({ url, token, key }) => {
    const { repo } = globalThis as Page;
    repo.addRelay({ url, token });
    const id = await repo.letters.send(key, "note", "from a page");
    await repo.letters.whenKept(id, { timeout: 20_000 });
    return { id, address: repo.letters.address, connections: JSON.stringify(repo.connections) };
  }, { url: relay.endpoint, token, key });
  assert.ok(!sent.connections.includes(token) && sent.connections.includes("connected"), sent.connections);
  const { letters } = JSON.parse(await native("inbox")) as { letters: { id: string; from: string; content: string }[] };
  assert.deepEqual(letters.map(({ id, from, content }) => [id, from, content]), [[sent.id, sent.address, "from a page"]]);
});
