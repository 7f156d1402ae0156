/** A person as a small round face: initials on their colour. */

import { initials, type ColourName } from "../model/identity.ts";
import { h } from "./dom.ts";

/** A face; the name is said by whatever holds it. */
export function face({ name, colour }: { name: string; colour: ColourName }): HTMLElement {
  return h("span", { class: `face person-${colour}`, "aria-hidden": "true", title: name }, initials(name));
}
