/** Links by which one joins a space. What counts stands behind the `#`, which browsers send to no server. */

/** What a link begins with that belongs to no web app. */
const PREFIX = "driftline:join#";
/** What stands before the invitation in the fragment of a web app's address. */
const WEB = "join=";

/** A link to a web app instead of `link`, with the same invitation. */
export function webLink(link: string, app: string | URL): string {
  const address = new URL(app);
  address.hash = `${WEB}${link.slice(PREFIX.length)}`;
  return address.href;
}

const TICKETS = [["driftline:once#", "once="], ["driftline:device#", "device="]] as const;

/** A link to a web app instead of one for a single use, with the same content. */
export function webTicket(link: string, app: string | URL): string {
  const [prefix, web] = TICKETS.find(([prefix]) => link.startsWith(prefix)) ?? TICKETS[0];
  const address = new URL(app);
  address.hash = `${web}${link.slice(prefix.length)}`;
  return address.href;
}

/**
 * The link for a single use that an address, or a text that someone pasted, has behind its `#`: to be given to `introductions.ask`. Nothing where there
 * is none. `kind` says whether it lets into a space or links a device. Like an invitation it is taken out of the address bar.
 */
export function ticketIn(text: string | URL): { readonly kind: "space" | "device"; readonly link: string } | undefined {
  const whole = String(text).trim();
  for (const [prefix, web] of TICKETS) {
    const at = whole.indexOf(`#${web}`);
    const content = whole.startsWith(prefix) ? whole.slice(prefix.length) : at < 0 ? "" : whole.slice(at + 1 + web.length);
    if (content !== "") return { kind: web === "once=" ? "space" : "device", link: `${prefix}${content}` };
  }
  return undefined;
}

/**
 * The invitation that an address, or a text that someone pasted, has behind its `#`: to be given to `join`. Nothing where there is none. An
 * app that was opened by such an address takes it out of the address bar, and with it out of the history.
 */
export function invitationIn(text: string | URL): string | undefined {
  const whole = String(text).trim();
  if (whole.startsWith(PREFIX)) return whole;
  const at = whole.indexOf(`#${WEB}`);
  const invitation = at < 0 ? "" : whole.slice(at + 1 + WEB.length);
  return invitation === "" ? undefined : `${PREFIX}${invitation}`;
}
