import type { Connection, ConnectionEvents, Connector } from "../../relay/smtp/connection.ts";
import { ModelServer } from "./model_server.ts";

/** Things that happen in their order; between channels, any order is possible. */
type Channel = (() => void)[];

/** What a model of a network and its servers is told. */
export interface ModelSettings {
  readonly random: () => number;
  readonly offer: readonly string[];
  /** It answers BDAT as a command that it does not know. */
  readonly isChunkingBroken: boolean;
  /** The most connections that a server takes. */
  readonly most: number;
}

/** One mail that a server has taken, and for whom. */
export interface Taken {
  readonly id: string;
  readonly recipients: readonly string[];
}

/**
 * A network in memory with servers behind it, in which all that can happen at a time happens in an order of chance:
 * bytes come in pieces, servers refuse, fall silent, and close. The same seed gives the same run.
 */
export class ModelNetwork {
  readonly settings: ModelSettings;
  readonly #channels = new Set<Channel>();
  readonly servers = new Set<ModelServer>();
  readonly taken: Taken[] = [];
  readonly violations: string[] = [];
  /** The share of steps at which something goes wrong. */
  faults = 0;

  constructor(settings: ModelSettings) {
    this.settings = settings;
  }

  readonly connector: Connector = (_, events) => new ModelConnection(this, events);

  chance(share: number): boolean {
    return this.settings.random() < share;
  }

  /** Whether something goes wrong now. */
  fault(weight = 1): boolean {
    return this.chance(this.faults * weight);
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.settings.random() * items.length)] as T; // never empty
  }

  /** Lets this happen at a later step, after what is in the channel already. */
  later(channel: Channel, event: () => void): void {
    channel.push(event);
    this.#channels.add(channel);
  }

  /** Lets one thing happen; false when nothing is left to. */
  step(): boolean {
    if (this.#channels.size === 0) return false;
    const channel = this.pick([...this.#channels]);
    const event = channel.shift();
    if (channel.length === 0) this.#channels.delete(channel);
    event?.();
    return true;
  }
}

/** The client's end of a connection, as `SocketConnection` is over a real socket. */
class ModelConnection implements Connection {
  readonly #network: ModelNetwork;
  readonly #events: ConnectionEvents;
  readonly #server: ModelServer;
  readonly #toServer: Channel = [];
  readonly #toClient: Channel = [];
  #written = "";
  #said = "";
  #isStreaming = false;
  #isClosed = false;
  isStarved = false;

  constructor(network: ModelNetwork, events: ConnectionEvents) {
    this.#network = network;
    this.#events = events;
    this.#server = new ModelServer(network, {
      say: (text) => this.#say(text),
      close: () => network.later(this.#toClient, () => this.#end("closed")),
    });
    if (network.fault()) return; // SYN is dropped: nobody answers
    const isRefused = network.fault();
    network.later(this.#toClient, () => {
      if (isRefused) return this.#end("connect_refused");
      if (this.#isClosed) return;
      events.connected();
      this.#server.connected();
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#isClosed) this.#network.violations.push("written after close");
    this.#written += new TextDecoder("latin1").decode(bytes);
  }

  flush(): void {
    if (this.#isClosed || this.#isStreaming || this.#written === "") return;
    const text = this.#written;
    this.#written = "";
    this.#send(text);
  }

  stream(chunks: AsyncIterable<Uint8Array>): void {
    this.flush();
    if (this.#isStreaming) this.#network.violations.push("two contents at a time");
    this.#isStreaming = true;
    void this.#pump(chunks);
  }

  startTls(): void {
    throw new Error("There is no TLS in this model");
  }

  tlsFacts(): undefined {
    return undefined;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#server.isLeft = true;
    this.#network.later(this.#toServer, () => this.#server.clientGone());
  }

  /** In pieces of any length. */
  #send(text: string): void {
    for (let rest = text; rest !== "";) {
      const length = this.#network.chance(0.7)
        ? rest.length
        : 1 + Math.floor(this.#network.settings.random() * rest.length);
      const piece = rest.slice(0, length);
      rest = rest.slice(length);
      this.#network.later(this.#toServer, () => this.#server.receive(piece));
    }
  }

  /** Replies may come together, or in pieces. */
  #say(text: string): void {
    this.#said += text;
    const hear = (): void => {
      if (this.#isClosed || this.#said === "") return;
      const length = this.#network.chance(0.8) ? this.#said.length : 1;
      const piece = this.#said.slice(0, length);
      this.#said = this.#said.slice(length);
      // What is left comes before anything else.
      if (this.#said !== "") this.#toClient.unshift(hear);
      this.#events.data(new TextEncoder().encode(piece));
    };
    this.#network.later(this.#toClient, hear);
  }

  #end(code: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.ended({ code, reason: "The model ended it" });
  }

  async #pump(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      this.isStarved = true;
      for await (const chunk of chunks) {
        this.isStarved = false;
        if (this.#isClosed) return;
        this.#send(new TextDecoder("latin1").decode(chunk));
        await new Promise<void>((resolve) => this.#network.later([], resolve));
        if (this.#isClosed) return;
        this.#events.progressed();
        this.isStarved = true;
      }
      this.isStarved = false;
    } catch (error) {
      if (!this.#isClosed) this.#events.contentFailed(String(error));
      return;
    }
    if (this.#isClosed) return;
    this.#isStreaming = false;
    this.#events.handed();
    this.flush();
  }
}
