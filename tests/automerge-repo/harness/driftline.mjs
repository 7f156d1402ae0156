/** Driftline's own clients: the command line, each with a copy of the space on a disk of its own. */

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { BINARY } from "./relay.mjs";

const run = promisify(execFile);

/** One of Driftline's clients, in the space of automerge-repo's documents. */
export class Driftline {
  constructor(relay, data) {
    this.relay = relay;
    this.data = data;
  }

  static async open(relay) {
    return new Driftline(relay, await mkdtemp(join(tmpdir(), "driftline-client-")));
  }

  /** Runs `driftline doc …` and answers what it printed. */
  async doc(...words) {
    const where = ["--relay", this.relay.endpoint, "--space", "automerge", "--data", this.data, "--wait", "relay", "--timeout", "60"];
    const { stdout } = await run(BINARY, ["doc", ...words, ...where]);
    return stdout.trim();
  }

  async remove() {
    await rm(this.data, { recursive: true, force: true });
  }
}
