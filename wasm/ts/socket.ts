/** One WebSocket of the engine's. */

/** What a socket tells. */
export interface SocketListener {
  onOpen(): void;
  onFrame(frame: Uint8Array): void;
  /** So many bytes have left since it was last said. */
  onWritten(bytes: number): void;
  /** The socket is gone, open before or not. Said once, and nothing after it. `wantsToken`: because no token was shown that is good there. */
  onClose(reason: string, wantsToken: boolean): void;
}

/** How relays close a socket that shows them no token that is good there, and what the package `ws` says where they do not open it. */
const CLOSE_TOKEN = 4401;
const NOT_OPENED = /\b401\b/;
const WANTS_TOKEN = "the relay wants a token, and was shown none that is good there: ask its operator for one";

/** How often a socket with something left to send is looked at, in milliseconds. */
const LOOK_MS = 20;

/** One WebSocket. */
export class Socket {
  private readonly socket: WebSocket;
  private readonly listener: SocketListener;
  private handed = 0;
  private reported = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isOver = false;
  private reason: string | undefined;

  constructor(socket: WebSocket, listener: SocketListener) {
    this.socket = socket;
    this.listener = listener;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (!this.isOver) listener.onOpen();
    };
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (this.isOver) return;
      if (data instanceof ArrayBuffer) listener.onFrame(new Uint8Array(data));
      else this.close("the relay sent text where frames are expected");
    };
    socket.onerror = (event) => {
      this.reason ??= (event as { message?: string }).message || undefined;
    };
    socket.onclose = ({ code, reason }) => {
      const wantsToken = code === CLOSE_TOKEN || NOT_OPENED.test(this.reason ?? "");
      if (wantsToken) return this.end(reason || WANTS_TOKEN, true);
      const why = reason || this.reason || (code === 1006 ? "the connection was cut, or there was none" : `the connection was closed (${code})`);
      this.end(why);
    };
  }

  send(frame: Uint8Array): void {
    if (this.isOver) return;
    this.socket.send(frame.slice());
    this.handed += frame.length;
    this.look();
  }

  /** Closes once what was sent before has left; the listener hears of it at once. */
  close(reason: string): void {
    if (this.isOver) return;
    try {
      this.socket.close(1000);
    } catch {
      // Still connecting, in a socket that minds.
    }
    this.end(reason);
  }

  private look(): void {
    clearTimeout(this.timer);
    const left = this.handed - this.socket.bufferedAmount;
    if (left > this.reported) {
      const bytes = left - this.reported;
      this.reported = left;
      this.listener.onWritten(bytes);
    }
    if (this.reported < this.handed && !this.isOver) this.timer = setTimeout(() => this.look(), LOOK_MS);
  }

  private end(reason: string, wantsToken = false): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.listener.onClose(reason, wantsToken);
  }
}
