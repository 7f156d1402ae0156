/** Making elements without a framework: `h("button", { class: "primary", onclick }, "Share")`. */

type Child = Node | string | null | undefined | false;

/** What may be said of a new element: attributes, `on…` listeners, and `dataset`-like `data-…` keys. */
export type Attributes = Record<string, unknown>;

/** A new HTML element. Attributes that are null, undefined or false are left out; true means present. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else {
      attribute(element, name, value);
    }
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** Sets or takes away an attribute, touching the page only when it changes. */
export function attribute(element: Element, name: string, value: unknown): void {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets an element's text, touching the page only when it changes, so that screen readers are not told twice. */
export function text(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

/** Makes `parent` hold exactly `children`, in order, moving as few as it can, so that focus and scrolling survive. */
export function arrange(parent: Element, children: readonly Element[]): void {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next: Element | null = parent.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
