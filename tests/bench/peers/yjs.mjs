// A text of Yjs, as its servers' clients share it.

import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import * as Y from "yjs";

export class Text {
  constructor(id, document) {
    this.id = id;
    this.document = document;
    this.text = document.getText("text");
  }

  get length() {
    return this.text.length;
  }

  append(letter) {
    this.text.insert(this.text.length, letter);
  }

  whenChanged(call) {
    this.document.on("update", call);
  }
}

/** A document whose text was typed as an editing history has it. */
export async function typed(trace) {
  const { txns } = JSON.parse(gunzipSync(await readFile(trace)).toString());
  const document = new Y.Doc();
  const text = document.getText("text");
  for (const { patches } of txns) {
    document.transact(() => {
      for (const [at, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(at, deleted);
        if (inserted !== "") text.insert(at, inserted);
      }
    });
  }
  return document;
}
