/** Links for a single use, and devices, as one tab has them. */

import type {
  Ask, Device, InSpace, Introductions, IntroductionsEvents, IntroductionsNow, LinkDeviceOptions, PeerId, SpaceCard, SpaceId, TicketGiven, TicketId, TicketLink,
} from "./api.js";
import { Events } from "./events.js";
import { webTicket } from "./links.js";
import type { EngineAsk, EngineDevice, EngineInSpace, EngineIntroductions, EngineTicket, Introduce } from "./protocol.js";
import type { RepoOfTab } from "./repo.js";

const MINUTE_S = 60;

/** Links for a single use, and devices. */
export class IntroductionsOfTab extends Events<IntroductionsEvents> implements Introductions {
  private readonly repo: RepoOfTab;

  constructor(repo: RepoOfTab) {
    super();
    this.repo = repo;
  }

  async now(): Promise<IntroductionsNow> {
    const { given, asked, devices, spaces } = (await this.repo.ask({ ask: "introductions" })) as EngineIntroductions;
    // After a reload nobody else knows where an answer is to come from.
    for (const ask of asked) if (ask.state === "waiting") this.repo.addRelays(ask.relays);
    return { given: given.map(ticketOf), asked: asked.map(askOf), devices: devices.map(deviceOf), spaces: spaces.map(({ space, ...rest }) => ({ ...rest, space: space as SpaceId })) };
  }

  async ask(link: string | URL, { name = "" }: { readonly name?: string } = {}): Promise<TicketId> {
    const { id, relays } = (await this.act({ introduce: "ask", link: String(link), name })) as { id: TicketId; relays: string[] };
    this.repo.addRelays(relays);
    return id;
  }

  async forget(id: TicketId): Promise<void> {
    await this.act({ introduce: "forgetAsk", id });
  }

  async takeBack(id: TicketId): Promise<void> {
    await this.act({ introduce: "takeBack", id });
  }

  async linkDevice({ name = "", validUntil, relays = this.repo.relays, app }: LinkDeviceOptions = {}): Promise<TicketLink> {
    const ends = validUntil === undefined ? secondsOf(new Date()) + 15 * MINUTE_S : secondsOf(validUntil);
    const made = (await this.act({ introduce: "linkDevice", name, relays, ends })) as TicketLink;
    return app === undefined ? made : { ...made, link: webTicket(made.link, app) };
  }

  async confirm(id: TicketId, spaces: readonly SpaceCard[] = []): Promise<readonly InSpace[]> {
    return ((await this.act({ introduce: "confirm", id, cards: spaces })) as EngineInSpace[]).map(inSpaceOf);
  }

  async decline(id: TicketId): Promise<void> {
    await this.act({ introduce: "decline", id });
  }

  async passOn(card: SpaceCard): Promise<void> {
    await this.act({ introduce: "passOn", card });
  }

  async unlink(key: PeerId): Promise<readonly InSpace[]> {
    return ((await this.act({ introduce: "unlink", key })) as EngineInSpace[]).map(inSpaceOf);
  }

  handleChange(): void {
    this.emit("change", undefined);
  }

  private act(what: Introduce): Promise<unknown> {
    return this.repo.act({ act: "introduce", what });
  }
}

/** A moment in seconds of Unix time. */
export function secondsOf(moment: Date): number {
  return Math.max(1, Math.floor(moment.getTime() / 1_000));
}

function ticketOf({ id, space, level, note, ends, state, key, name, code }: EngineTicket): TicketGiven {
  return {
    id: id as TicketId, note, ends: new Date(ends * 1_000), state, name,
    ...(space === null ? {} : { space: space as SpaceId }), ...(level === null ? {} : { level }),
    ...(key === null ? {} : { key: key as PeerId }), ...(code === null ? {} : { code }),
  };
}

function askOf({ id, space, level, giver, from, relays, ends, state, why, code }: EngineAsk): Ask {
  return {
    id: id as TicketId, giver: giver as PeerId, from, relays, ends: new Date(ends * 1_000), state,
    ...(space === null ? {} : { space: space as SpaceId }), ...(level === null ? {} : { level }),
    ...(why === null ? {} : { why }), ...(code === null ? {} : { code }),
  };
}

function deviceOf({ key, name, by, since, lost }: EngineDevice): Device {
  return { key: key as PeerId, name, by: by as PeerId, since: new Date(since * 1_000), lost };
}

function inSpaceOf({ space, name, error }: EngineInSpace): InSpace {
  return { space: space as SpaceId, name, ...(error === null ? {} : { error }) };
}
