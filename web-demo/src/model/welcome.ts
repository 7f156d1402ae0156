/** The first note of a new notebook: it teaches by having the reader pull the plug. */

const NAMES = ["Quiet Harbour", "North Pier", "Long Sands", "Salt Marsh", "Low Tide", "Far Lighthouse", "Tide Pool", "Green Estuary", "Windward", "Old Slipway"];

/** A name for a new notebook, to be changed at will: none of those that notebooks here have, as long as there are others. */
export function notebookName(taken: ReadonlySet<string>): string {
  const free = NAMES.filter((name) => !taken.has(name));
  const names = free.length > 0 ? free : NAMES;
  return names[Math.floor(Math.random() * names.length)] as string;
}

export const WELCOME_TITLE = "Welcome aboard";

export const WELCOME_BODY = `This notebook is yours. Others come in by links that you make, to read or to write, for as long as you like; nobody has to sign up. Write in it together, with a network or without one: everything is kept in your browser first and finds its way to the others when it can.

Do not take our word for it. Tick these off as you go.

## Pull the plug

- [ ] Press **Work offline** at the bottom of this window. See the waterline begin to move? You are adrift now.
- [ ] Write something right here: 
- [ ] Reload the page, still offline. It is all here.
- [ ] Press the switch again. The line settles when your words are safe on the relay.

## Write with someone

- [ ] Press **Share**, choose *Can write*, and open the link in another browser, or on your phone. (Nobody around? You will do.)
- [ ] Write in both at once, and watch the other caret.
- [ ] Go offline in *both*, change this sentence differently in each, and come back. You will meet on the same line, with nothing lost.

## Good to know

- Notes are written in Markdown: \`**bold**\`, \`*italic*\`, \`- lists\`, \`> quotes\`, [links](https://daringfireball.net/projects/markdown/syntax).
- Press **?** for the keyboard shortcuts.
- The line at the bottom of the window tells you where your words are saved. Press it to know more.
`;
