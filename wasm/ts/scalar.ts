/** Values that JavaScript has no word for. */

/**
 * A number whose concurrent increments add up, where a plain number's last assignment wins.
 *
 * Assign a new one to make a counter (`d.likes = new Counter(0)`); inside `change`, add to it with
 * `d.likes.increment()`. A counter outside `change` is a snapshot: its value never moves.
 */
export class Counter {
  /** What it stands at. */
  readonly value: number;

  constructor(value = 0) {
    if (!Number.isSafeInteger(value)) throw new RangeError("a counter is a whole number");
    this.value = value;
  }

  /** Adds to a counter of a document; only inside `change`, and only once the counter is in the document. */
  increment(by = 1): void {
    void by;
    throw new TypeError("a counter can be changed only inside change(), as a field of the document");
  }

  /** Takes away from a counter of a document; only inside `change`, and only once the counter is in the document. */
  decrement(by = 1): void {
    this.increment(-by);
  }

  valueOf(): number {
    return this.value;
  }

  toString(): string {
    return String(this.value);
  }

  toJSON(): number {
    return this.value;
  }
}

/** Text that is replaced as a whole, never merged: an address, a status, an id. Plain strings are collaborative text. */
export class ImmutableString {
  /** The text. */
  readonly val: string;

  constructor(val: string) {
    this.val = val;
  }

  toString(): string {
    return this.val;
  }

  toJSON(): string {
    return this.val;
  }
}
