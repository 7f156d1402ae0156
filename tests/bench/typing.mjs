// Someone types into a long document, and others follow: each a page of its own in Chromium, with an engine, a worker and a store of
// its own, as an app has them; the relay as always. Asked is
//
// * how long the page of who types is held up by a key: in the call that makes the edit, and in all that its main thread does;
// * when the others see it: from the edit to their page's being told, with the text changed;
// * what a key costs the relay, and what it costs the browsers of both, workers included.
//
// node typing.mjs RESULT.json RELAY [--trace FILE.json.gz] [--readers N] [--seconds N] [--rate N] [--storage auto|memory]

import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { cpus, loadavg, platform, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { chromium } from "playwright-core";
import { serveSite } from "./site.mjs";

/** What is promised. */
const BARS = { relayCpuMs: 0.2, seenMs: 150, keyMs: 16 };
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-renderer-backgrounding", "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"];
/** Silence after which the relay puts a document together, and a little more. */
const REST_MS = 22_000;
const PATIENCE_MS = 120_000;
/** How long the last keys may take. */
const TAIL_MS = 15_000;
const TICKS_PER_SECOND = 100;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    trace: { type: "string" },
    readers: { type: "string", default: "5" },
    seconds: { type: "string", default: "15" },
    rate: { type: "string", default: "20" },
    storage: { type: "string", default: "auto" },
  },
});
const [result, relayProgram] = positionals;
const [readers, seconds, rate] = [values.readers, values.seconds, values.rate].map(Number);
const keys = seconds * rate;

/** The page's part of everything: what is here runs there. */
const inPage = {
  async open({ relay, storage }) {
    const { Repo } = await import("/dist/index.js");
    globalThis.repo = await Repo.open({ relays: [relay], storage });
    globalThis.space = repo.space("typing");
    globalThis.clock = () => performance.timeOrigin + performance.now();
  },
  async make(text) {
    globalThis.handle = space.create({ body: text });
    await handle.whenSaved({ relays: 1 });
    return handle.id;
  },
  async find(id) {
    const began = performance.now();
    globalThis.handle = space.find(id);
    await handle.whenReady({ timeout: 100_000 });
    return { ms: performance.now() - began, length: handle.doc().body.length };
  },
  /** Notes when each key is there. */
  watch(length) {
    globalThis.seen = [];
    handle.on("change", ({ doc }) => {
      while (seen.length < doc.body.length - length) seen.push(clock());
    });
  },
  async type({ keys, rate, at }) {
    const [made, held, start] = [[], [], performance.now()];
    for (let n = 0; n < keys; n++) {
      await new Promise((done) => setTimeout(done, Math.max(0, start + (n * 1_000) / rate - performance.now())));
      const before = performance.now();
      made.push(clock());
      handle.splice(["body"], at + n, 0, "a letter at a time "[n % 19]);
      held.push(performance.now() - before);
    }
    return { made, held };
  },
};

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function startRelay(folder) {
  const port = await freePort();
  const process = spawn(relayProgram, ["relay", "--listen", `127.0.0.1:${port}`, "--data", folder], { stdio: "ignore" });
  for (;;) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/readyz`)).ok) break;
    } catch {
      if (process.exitCode !== null) throw new Error("the relay ended at once");
    }
    await sleep(25);
  }
  return { process, endpoint: `ws://127.0.0.1:${port}/sync` };
}

/** Seconds of processor time of a process so far. */
async function cpuSeconds(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const quantile = (sorted, share) => sorted[Math.round((sorted.length - 1) * share)] ?? NaN;
const sorted = (list) => [...list].sort((a, b) => a - b);

/** Seconds that the page's main thread was busy so far, all tasks together. */
async function busySeconds(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration").value;
}

/** Seconds of processor time of the browser's processes that show pages, by their ids. */
async function rendererSeconds(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return new Map(processInfo.filter(({ type }) => type === "renderer").map(({ id, cpuTime }) => [id, cpuTime]));
}

const loadBefore = loadavg()[0];
const folder = await mkdtemp(join(tmpdir(), "driftline-typing-"));
const [site, relay] = [await serveSite(), await startRelay(join(folder, "relay"))];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
let measured;
try {
  const processes = await browser.newBrowserCDPSession();
  /** A page in a profile of its own. */
  const open = async () => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => console.error(`a page says: ${error}`));
    await page.goto(site.url);
    await page.evaluate(inPage.open, { relay: relay.endpoint, storage: values.storage });
    return page;
  };
  const typist = await open();
  let id;
  if (values.trace === undefined) {
    id = await typist.evaluate(inPage.make, "A short text. ");
  } else {
    const words = ["doc", "replay", values.trace, "--memory", "--space", "typing", "--relay", relay.endpoint];
    const { stdout } = await promisify(execFile)(relayProgram, words, { maxBuffer: 64 << 20 });
    id = /\b[1-9A-HJ-NP-Za-km-z]{25,30}\b/.exec(stdout)[0];
    await sleep(REST_MS);
  }
  const { ms: coldMs, length } = await typist.evaluate(inPage.find, id);
  console.log(`the document has ${length} letters, and was there after ${coldMs.toFixed(0)} ms`);
  const typistProcesses = [...(await rendererSeconds(processes)).keys()];
  const pages = [];
  for (let n = 0; n < readers; n++) pages.push(await open());
  const opened = await Promise.all(pages.map((page) => page.evaluate(inPage.find, id)));
  await Promise.all(pages.map((page) => page.evaluate(inPage.watch, length)));
  await sleep(1_000);

  const session = await typist.context().newCDPSession(typist);
  await session.send("Performance.enable");
  const renderersBefore = await rendererSeconds(processes);
  const [busyBefore, cpuBefore] = [await busySeconds(session), await cpuSeconds(relay.process.pid)];
  const { made, held } = await typist.evaluate(inPage.type, { keys, rate, at: length });
  const end = Date.now() + TAIL_MS;
  const seenBy = () => Promise.all(pages.map((page) => page.evaluate(() => globalThis.seen)));
  let seen = await seenBy();
  while (seen.some((times) => times.length < keys) && Date.now() < end) {
    await sleep(100);
    seen = await seenBy();
  }
  const relayCpuMs = ((await cpuSeconds(relay.process.pid)) - cpuBefore) * (1_000 / keys);
  const busyMs = ((await busySeconds(session)) - busyBefore) * (1_000 / keys);
  let [typistCpuMs, readersCpuMs] = [0, 0];
  for (const [id, after] of await rendererSeconds(processes)) {
    const ms = (after - (renderersBefore.get(id) ?? 0)) * (1_000 / keys);
    if (typistProcesses.includes(id)) typistCpuMs += ms;
    else readersCpuMs += ms / readers;
  }
  const lags = sorted(seen.flatMap((times) => times.map((at, n) => at - made[n])));
  const calls = sorted(held);
  measured = {
    length, coldMs, openMs: opened.map(({ ms }) => ms), keys, readers, rate, relayCpuMs, busyMs, typistCpuMs, readersCpuMs,
    seenShare: lags.length / (keys * readers), seenP50: quantile(lags, 0.5), seenP99: quantile(lags, 0.99), seenMax: quantile(lags, 1),
    keyP50: quantile(calls, 0.5), keyP99: quantile(calls, 0.99), keyMax: quantile(calls, 1),
  };
} finally {
  await browser.close();
  relay.process.kill("SIGKILL");
  site.close();
  await rm(folder, { recursive: true, force: true });
}

const of = (bar) => `under ${bar}`;
const f = measured;
const rows = [
  ["keys seen by the others, %", (f.seenShare * 100).toFixed(1), "100"],
  ["from key to their page, p50 ms", f.seenP50.toFixed(0), of(BARS.seenMs)],
  ["from key to their page, p99 ms", f.seenP99.toFixed(0), ""],
  ["the typist's page: the call that makes the edit, p50 ms", f.keyP50.toFixed(2), of(BARS.keyMs)],
  ["... p99 ms", f.keyP99.toFixed(2), of(BARS.keyMs)],
  ["... most, ms", f.keyMax.toFixed(2), ""],
  ["the typist's page: all of its main thread's work, ms per key", f.busyMs.toFixed(2), of(BARS.keyMs)],
  ["relay CPU, ms per key", f.relayCpuMs.toFixed(3), of(BARS.relayCpuMs)],
  ["CPU of the typist's page, worker and all, ms per key", f.typistCpuMs.toFixed(1), ""],
  ["CPU of a follower's page, worker and all, ms per key", f.readersCpuMs.toFixed(1), ""],
  ["before: the document in the first page, ms", f.coldMs.toFixed(0), ""],
];
const caption = `${f.rate} keys/s at the end of a text of ${f.length} letters${values.trace === undefined ? "" : " and 259,778 keystrokes"}, ${f.readers} readers, ${f.readers + 1} pages in Chromium, for ${seconds} s.`;
const columns = ["", "measured", "promised"];
const line = (cells) => `| ${cells.join(" | ")} |`;
console.log(`\n${caption}\n\n${line(columns)}\n|---|---:|---:|\n${rows.map(line).join("\n")}`);
// As driftline-bench reads it: see src/report.rs.
const report = {
  name: "typing",
  date: new Date().toISOString().slice(0, 10),
  machine: { processor: cpus()[0]?.model ?? "", cores: cpus().length, memoryGib: Math.round(totalmem() / 2 ** 30), system: `${platform()} ${release()}` },
  load: [loadBefore, loadavg()[0]],
  versions: [`Chromium ${browser.version()}`],
  tables: [{ caption, columns, rows }],
  plots: [],
  figures: measured,
};
await writeFile(result, JSON.stringify(report, null, 2));
console.log(`\nalso in ${result}`);
