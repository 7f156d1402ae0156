/**
 * A note as a page to read, made from CodeMirror's own syntax tree, node by node.
 *
 * Only elements named here are ever made, and text is only ever put in as text: what other people write cannot become
 * markup or script. Links lead only to the web or to mail.
 */

import { markdownLanguage } from "@codemirror/lang-markdown";
import type { SyntaxNode } from "@lezer/common";
import { h } from "./dom.ts";

const BLOCKS: Record<string, keyof HTMLElementTagNameMap> = {
  Paragraph: "p",
  Blockquote: "blockquote",
  BulletList: "ul",
  OrderedList: "ol",
  ListItem: "li",
  Emphasis: "em",
  StrongEmphasis: "strong",
  Strikethrough: "s",
  Table: "table",
  TableHeader: "tr",
  TableRow: "tr",
  TableCell: "td",
  Task: "span",
};

/** Signs that only mark what their parent already is. */
const SIGNS = new Set(["HeaderMark", "QuoteMark", "ListMark", "EmphasisMark", "StrikethroughMark", "CodeMark", "LinkMark", "TableDelimiter", "CodeInfo", "LinkTitle"]);
/** Deeper nesting than anyone writes by hand is shown flat. */
const DEPTH_MAX = 40;

/** The page of a Markdown text. */
export function reading(markdown: string): DocumentFragment {
  const page = document.createDocumentFragment();
  children(page, markdownLanguage.parser.parse(markdown).topNode, markdown, 0);
  nestHeadings(page);
  return page;
}

/**
 * Gives headings levels that follow each other, below the note's title, whatever numbers of signs their author chose:
 * those who move by headings find no gaps. How large one looks is still as it was written.
 */
function nestHeadings(page: DocumentFragment): void {
  const above: number[] = [];
  for (const heading of page.querySelectorAll<HTMLElement>(".heading")) {
    const size = Number(heading.dataset["size"]);
    while ((above.at(-1) ?? 0) >= size) above.pop();
    above.push(size);
    heading.ariaLevel = String(2 + above.length);
  }
}

function children(into: Node, node: SyntaxNode, source: string, depth: number): void {
  let at = node.from;
  const say = (to: number): void => {
    if (to > at && !isStructure(node.name)) into.appendChild(document.createTextNode(source.slice(at, to)));
    at = Math.max(at, to);
  };
  for (let child = node.firstChild; child; child = child.nextSibling) {
    say(child.from);
    at = child.to;
    if (SIGNS.has(child.name)) {
      if (child.name === "HeaderMark" || child.name === "QuoteMark") while (source[at] === " ") at += 1;
      continue;
    }
    element(into, child, source, depth + 1);
  }
  say(node.to);
}

/** Nodes whose own text is only the space between their parts. */
function isStructure(name: string): boolean {
  return ["Document", "BulletList", "OrderedList", "ListItem", "Blockquote", "Table", "TableHeader", "TableRow"].includes(name);
}

function element(into: Node, node: SyntaxNode, source: string, depth: number): void {
  const words = source.slice(node.from, node.to);
  switch (node.name) {
    case "FencedCode":
    case "CodeBlock": {
      const parts: string[] = [];
      for (let part = node.firstChild; part; part = part.nextSibling) if (part.name === "CodeText") parts.push(source.slice(part.from, part.to));
      into.appendChild(h("pre", { tabindex: "0" }, h("code", {}, parts.join(""))));
      return;
    }
    case "InlineCode":
      into.appendChild(h("code", {}, words.replace(/^`+ ?| ?`+$/g, "")));
      return;
    case "HorizontalRule":
      into.appendChild(h("hr"));
      return;
    case "HardBreak":
      into.appendChild(h("br"));
      return;
    case "Escape":
      into.appendChild(document.createTextNode(words.slice(1)));
      return;
    case "TaskMarker": {
      const box = h("input", { type: "checkbox", disabled: true, class: "md-task", "aria-label": /x/i.test(words) ? "Done" : "To do" });
      box.checked = /x/i.test(words);
      into.appendChild(box);
      return;
    }
    case "URL":
    case "Autolink": {
      const address = words.replace(/^<|>$/g, "");
      into.appendChild(anchor(address, document.createTextNode(address)));
      return;
    }
    case "Image":
    case "Link": {
      const address = node.getChild("URL");
      const label = document.createDocumentFragment();
      const marks = node.getChildren("LinkMark");
      const [open, close] = [marks[0]?.to ?? node.from, marks[1]?.from ?? node.to];
      label.append(source.slice(open, close).replace(/[*_`]/g, ""));
      into.appendChild(anchor(address ? source.slice(address.from, address.to) : "", label));
      return;
    }
  }
  const size = /^(?:ATX|Setext)Heading(\d)$/.exec(node.name)?.[1];
  const tag = size === undefined ? BLOCKS[node.name] : "div";
  if (tag === undefined || depth > DEPTH_MAX) {
    into.appendChild(document.createTextNode(words));
    return;
  }
  const made = size === undefined ? h(tag) : h("div", { class: "heading", role: "heading", "data-size": size });
  if (node.name === "ListItem" && node.getChild("Task")) made.className = "task";
  children(made, node, source, depth);
  into.appendChild(made);
}

function anchor(address: string, label: Node): Node {
  if (!/^(https?:|mailto:)/i.test(address)) {
    const plain = h("span");
    plain.append(label);
    return plain;
  }
  const link = h("a", { href: address, rel: "noopener noreferrer nofollow", target: "_blank" });
  link.append(label);
  return link;
}
