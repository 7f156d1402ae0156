/**
 * Their tests that no server in a process of its own can pass, each with the reason. All three take it that the two adapters they are
 * given are the two ends of one connection; here both are clients, and what is at the other end of each is the relay. What they are
 * about is tested of the relay in `network.spec.mjs`, under "of a server".
 */
export const NOT_OF_A_SERVER = {
  "emits a peer-candidate event with proper peer metadata when a peer connects":
    "the second adapter must be told of a peer that has the first one's name and storage: a client is told of the server's",
  "should emit disconnect events on disconnect":
    "when the first adapter is disconnected the second must be, too: a server stays connected to one client when another goes",
  "should not send messages after disconnect": "it begins by waiting for that same disconnection of the second adapter",
};
