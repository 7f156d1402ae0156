// Bytes of every socket that this process dials, whoever dials it: as TCP carries them, WebSocket's own included.

import { subscribe } from "node:diagnostics_channel";

const QUIET_MS = 500;
const LOOK_MS = 20;

const sockets = new Set();
subscribe("net.client.socket", ({ socket }) => sockets.add(socket));

/** Bytes since the process began. */
export function bytes() {
  let [up, down] = [0, 0];
  for (const socket of sockets) {
    up += socket.bytesWritten;
    down += socket.bytesRead;
  }
  return { up, down };
}

/** Waits until nothing has come or gone for a while, `mostMs` at most; answers the time of the last byte, about. */
export async function quiet(mostMs) {
  const end = now() + mostMs;
  let [seen, last] = ["", now()];
  while (now() < end && now() - last < QUIET_MS) {
    const { up, down } = bytes();
    if (`${up} ${down}` !== seen) [seen, last] = [`${up} ${down}`, now()];
    await sleep(LOOK_MS);
  }
  return last;
}

/** Milliseconds of a clock that all processes of the machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
