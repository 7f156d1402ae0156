/**
 * An automerge-repo client in a process of its own, for tests that are not written in JavaScript.
 *
 * node guest.mjs URL DOCUMENT NAME WORDS
 *
 * Finds the document, sends "here" to who has it open, writes so many words of its own at the end of its `body`, and prints `typed`.
 * Then it reads how long the body is to be, waits for that and for an ephemeral message, and prints `{ body, heads, heard }`: heads
 * are sorted, and heard are the messages that came.
 */

import { createInterface } from "node:readline";
import { decodeHeads } from "@automerge/automerge-repo";
import { splice } from "@automerge/automerge-repo/slim";
import { Client } from "./client.mjs";
import { until } from "./relay.mjs";

const [url, document, name, words] = process.argv.slice(2);
const client = new Client({ url }).connect();
const note = await client.find(document);
const heard = [];
note.on("ephemeral-message", ({ message }) => heard.push(message));
note.broadcast("here");
for (let at = 0; at < Number(words); at++) {
  note.change((doc) => splice(doc, ["body"], doc.body.length, 0, `${name}${at} `));
  await new Promise((done) => setTimeout(done, 10));
}
console.log("typed");
for await (const length of createInterface({ input: process.stdin })) {
  await until(`a body of ${length} letters`, () => note.doc().body.length === Number(length), 30_000);
  await until("a message", () => heard.length > 0);
  await client.received(note);
  console.log(JSON.stringify({ body: note.doc().body, heads: decodeHeads(note.heads()).sort(), heard }));
  break;
}
await client.close();
process.exit(0);
