/** Relays as apps name them. A token is kept apart from the address: addresses are shown, stored and passed on in links. */

import type { RelayAddress } from "./api.js";

/** What tokens are made of. */
const TOKEN = /^[\w.~-]{1,256}$/;
/** The part of an address's query that is a token, as people paste it. */
const PREFIX = "token=";

/** A relay's address without a token, and the token. Throws where that cannot be one. */
export function relayOf(relay: string | RelayAddress): RelayAddress {
  const { url: whole, token: named } = typeof relay === "string" ? { url: relay, token: undefined } : relay;
  const [address = "", query] = whole.split("?", 2);
  const parts = query?.split("&") ?? [];
  const rest = parts.filter((part) => !part.startsWith(PREFIX));
  const url = rest.length > 0 ? `${address}?${rest.join("&")}` : address;
  const token = named ?? (parts.find((part) => part.startsWith(PREFIX))?.slice(PREFIX.length) || undefined);
  // It is not said: what was pasted may be someone's.
  if (token !== undefined && !TOKEN.test(token)) throw new Error(`the token for ${url} is none: it has letters, digits, and - _ . ~ in it, 256 at most`);
  return token === undefined ? { url } : { url, token };
}

/** The address that shows a token: a page has no other way. */
export function addressWith(url: string, token: string | undefined): string {
  return token === undefined ? url : `${url}${url.includes("?") ? "&" : "?"}${PREFIX}${token}`;
}
