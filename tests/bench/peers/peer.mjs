// A peer of Driftline's, under measurement: its server, or its clients, each as its own packages make them.
//
// node peer.mjs NAME serve PORT FOLDER    a server that keeps its documents in FOLDER, until it is ended
// node peer.mjs NAME clients PORT         clients of it: a command a line in, an answer a line out, both in JSON
//
// Each peer is one file here, which says how its server is started and what its client is: see Clients in clients.mjs.

import { createInterface } from "node:readline";
import { Clients } from "./clients.mjs";

const [name, role, port, folder] = process.argv.slice(2);
const peer = await import(`./${name}.mjs`);

if (role === "serve") {
  await peer.serve(Number(port), folder);
} else {
  // What the packages print is not for whoever reads the answers.
  console.log = console.info = console.error;
  const clients = new Clients(peer.Client, Number(port));
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: command, ...options } = JSON.parse(line);
    let answer;
    try {
      answer = (await clients[command](options)) ?? {};
    } catch (error) {
      answer = { error: `${command}: ${error?.stack ?? error}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}
