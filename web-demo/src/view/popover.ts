/** Panels that open beside a button, in the browser's own top layer: Escape and a click elsewhere close them. */

import { attribute } from "./dom.ts";

let panels = 0;

/** Makes `button` open and close `panel`, beside it. `onOpen` fills the panel just before it shows. */
export function opens(button: HTMLButtonElement, panel: HTMLElement, label: string, onOpen?: () => void): void {
  panel.id ||= `panel-${(panels += 1)}`;
  panel.popover = "auto";
  panel.classList.add("panel");
  attribute(panel, "role", "dialog");
  attribute(panel, "aria-label", label);
  attribute(button, "aria-haspopup", "dialog");
  attribute(button, "aria-expanded", "false");
  button.popoverTargetElement = panel;
  panel.addEventListener("beforetoggle", (event) => {
    if ((event as ToggleEvent).newState === "open") onOpen?.();
  });
  panel.addEventListener("toggle", (event) => {
    const isOpen = (event as ToggleEvent).newState === "open";
    attribute(button, "aria-expanded", isOpen ? "true" : "false");
    if (isOpen) place(panel, button);
  });
  addEventListener("resize", () => {
    if (panel.matches(":popover-open")) place(panel, button);
  });
}

/** Puts `panel` under `button`, or above it when there is more room, inside the window. */
export function place(panel: HTMLElement, button: HTMLElement): void {
  const gap = 8;
  const { innerWidth: width, innerHeight: height } = window;
  const at = button.getBoundingClientRect();
  const size = panel.getBoundingClientRect();
  const isBelow = at.bottom + gap + size.height <= height || at.top < height - at.bottom;
  const isFromLeft = at.left + size.width <= width - gap;
  const left = isFromLeft ? at.left : at.right - size.width;
  const top = isBelow ? at.bottom + gap : at.top - gap - size.height;
  panel.style.left = `${Math.max(gap, Math.min(left, width - size.width - gap))}px`;
  panel.style.top = `${Math.max(gap, Math.min(top, height - size.height - gap))}px`;
}
