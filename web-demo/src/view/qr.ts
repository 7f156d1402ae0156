/** A link as a QR code, drawn in the page: the link is a secret, and goes to nobody to be drawn. */

import { encode } from "uqr";

const SVG = "http://www.w3.org/2000/svg";
/** Modules of white around it, as readers want it. */
const QUIET = 4;

/** The code, or nothing where the link is too long for one. */
export function qrCode(link: string, label: string): SVGSVGElement | null {
  let modules: readonly (readonly boolean[])[];
  try {
    modules = encode(link, { ecc: "L", border: QUIET }).data;
  } catch {
    return null;
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${modules.length} ${modules.length}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.setAttribute("class", "qr");
  svg.setAttribute("shape-rendering", "crispEdges");
  const dark = document.createElementNS(SVG, "path");
  dark.setAttribute("d", modules.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
  svg.append(dark);
  return svg;
}
