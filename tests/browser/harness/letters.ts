/** Someone who types words letter by letter into a text that others type into, too. */

/** A text that can be typed into, of whichever library. */
export interface Text {
  /** It as it stands. */
  read(): string;
  /** Puts letters in. */
  insert(at: number, letters: string): void;
  /** Calls `listener` for each stretch of letters that others have put in, and where. */
  onInsert(listener: (at: number, length: number) => void): void;
}

/** A typist. */
export interface Letters {
  /** Types so many words, and answers them. */
  type(words: number): Promise<string[]>;
}

/**
 * A typist whose words begin with `name`. Each word begins at the start of the text or after a space, where nobody's word is in two,
 * and is then typed at the caret, which others move. The function names nothing outside itself, so that its text runs in a page.
 */
export function lettersOf(name: string, text: Text): Letters {
  let [caret, typed] = [0, 0];
  text.onInsert((at, length) => {
    // What comes to stand right at the caret was begun at the same place at the same time: it follows this word.
    if (at < caret) caret += length;
  });
  const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 20 + Math.random() * 40));
  const begin = (): number => {
    const before = text.read();
    const places = [0];
    for (let at = 1; at <= before.length; at += 1) if (before[at - 1] === " ") places.push(at);
    return places[Math.floor(Math.random() * places.length)] ?? 0;
  };
  return {
    async type(count) {
      const words: string[] = [];
      while (words.length < count) {
        const word = `${name}${String((typed += 1)).padStart(3, "0")}`;
        caret = begin();
        for (const letter of `${word} `) {
          text.insert(caret, letter);
          caret += 1;
          await pause();
        }
        words.push(word);
      }
      return words;
    },
  };
}
