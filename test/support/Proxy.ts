import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"

/** A network that can be broken: a TCP proxy on 127.0.0.1 before one server. */
export interface Proxy {
  readonly port: number
  /** From now on bytes of both directions wait here, without a word to anybody, as on a link that is down; they arrive later even if their sender is gone. */
  readonly hold: () => void
  /** The same, once a client has sent so many bytes more; ends then. */
  readonly holdAfter: (bytes: number) => Promise<void>
  /** Only what the server says waits: what it is asked arrives, and nobody learns of it. */
  readonly holdAnswers: () => void
  /** Only what one client says waits: it hears, and nobody learns of what it made of it. By the port that the server knows it by. */
  readonly holdRequestsOf: (clientPort: number) => void
  /** What waited goes on, and so does everything after it. */
  readonly release: () => void
  /** Ends every connection; new ones are refused until `release`. */
  readonly cut: () => void
  readonly close: () => Promise<void>
}

export const start = async (target: { readonly host: string; readonly port: number }, port = 0): Promise<Proxy> => {
  const links = new Set<Link>()
  let state: "passing" | "holding" | "cut" = "passing"
  const server: Server = createServer((client) => {
    if (state === "cut") return void client.destroy()
    const link = new Link(client, connect(target), () => links.delete(link))
    links.add(link)
    if (state === "holding") link.hold()
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  const hold = () => {
    state = "holding"
    for (const link of links) link.hold()
  }
  return {
    port: (server.address() as { port: number }).port,
    hold,
    holdAfter: async (bytes) => {
      await Promise.race([...links].map((link) => link.requests.holdAfter(bytes)))
      hold()
    },
    holdAnswers: () => {
      for (const link of links) link.answers.hold()
    },
    holdRequestsOf: (clientPort) => {
      for (const link of links) if (link.clientPort === clientPort) link.requests.hold()
    },
    release: () => {
      state = "passing"
      for (const link of links) link.release()
    },
    cut: () => {
      state = "cut"
      for (const link of links) link.destroy()
    },
    close: async () => {
      for (const link of links) link.destroy()
      server.close()
      await once(server, "close")
    }
  }
}

const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once("close", resolve))

/** A connection through the proxy: one lane to the server, one back. */
class Link {
  readonly requests: Lane
  readonly answers: Lane
  readonly #sockets: readonly [client: Socket, target: Socket]

  constructor(client: Socket, target: Socket, ended: () => void) {
    this.#sockets = [client, target]
    this.requests = new Lane(client, target)
    this.answers = new Lane(target, client)
    // Of both: who is told of an end only when the network is released is still to be released.
    void Promise.all([closed(client), closed(target)]).then(ended)
  }

  /** As the server sees it. */
  get clientPort(): number | undefined {
    return this.#sockets[1].localPort
  }

  hold(): void {
    this.requests.hold()
    this.answers.hold()
  }

  release(): void {
    this.requests.release()
    this.answers.release()
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** So much waits here, then in the sockets. */
const maxWaitingBytes = 64 * 1_048_576

/** One direction. Not `pipe`, which would go on by itself with a socket that is held, and lose what waits when its sender goes. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  #isHeld = false
  #waiting: Array<Buffer> = []
  #waitingBytes = 0
  #isOver = false
  /** Bytes that still pass before it holds by itself. */
  #credit: { bytes: number; readonly spent: () => void } | undefined

  constructor(from: Socket, to: Socket) {
    this.#from = from
    this.#to = to
    from.on("data", (data) => this.#arrive(data))
    from.on("error", () => {}) // followed by its close
    from.on("close", () => this.#end())
    to.on("drain", () => this.#isHeld || from.resume())
  }

  hold(): void {
    this.#isHeld = true
  }

  /** Ends when so many bytes more have passed. */
  holdAfter(bytes: number): Promise<void> {
    return new Promise((spent) => this.#credit = { bytes, spent })
  }

  release(): void {
    this.#isHeld = false
    for (const data of this.#waiting) this.#to.write(data)
    this.#waiting = []
    this.#waitingBytes = 0
    if (this.#isOver) this.#to.destroySoon()
    else this.#from.resume()
  }

  #arrive(data: Buffer): void {
    const passes = this.#isHeld ? 0 : Math.min(this.#credit?.bytes ?? data.length, data.length)
    if (passes > 0 && !this.#to.write(data.subarray(0, passes))) this.#from.pause()
    this.#spend(passes)
    if (passes < data.length) this.#wait(data.subarray(passes))
  }

  #spend(bytes: number): void {
    if (this.#credit === undefined || (this.#credit.bytes -= bytes) > 0) return
    this.hold()
    this.#credit.spent()
    this.#credit = undefined
  }

  #wait(data: Buffer): void {
    this.#waiting.push(data)
    this.#waitingBytes += data.length
    if (this.#waitingBytes > maxWaitingBytes) this.#from.pause()
  }

  #end(): void {
    this.#isOver = true
    if (!this.#isHeld) this.#to.destroySoon() // what was on its way arrives
  }
}
