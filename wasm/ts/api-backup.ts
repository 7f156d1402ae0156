/** Backups, as an app sees them: a file with all that a device holds, and the phrase that opens it. */

/** All that this device holds, in a file that only its recovery phrase opens. */
export interface Backup {
  /** The file. Where it is kept does not matter, but for getting lost. */
  readonly file: Uint8Array;
  /**
   * 24 words to be written down: this device's secret key. Whoever has them can be this device, with or without the file. They are the same each
   * time.
   */
  readonly phrase: string;
}

/** What to go on from, in a browser that holds nothing yet. */
export interface RestoreOptions {
  /** The recovery phrase. */
  readonly phrase: string;
  /**
   * The backup. Without it this device is who it was, and holds nothing: owned spaces come back from the relays that have them, once they are opened by
   * their ids.
   */
  readonly file?: Uint8Array;
}
