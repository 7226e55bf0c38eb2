import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"

/** A network that can be broken: a TCP proxy on 127.0.0.1 before one server. */
export interface Proxy {
  readonly port: number
  /** From now on bytes of both directions wait here, without a word to anybody, as on a link that is down. */
  readonly hold: () => void
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
    const link = join(client, connect(target))
    links.add(link)
    if (state === "holding") link.pause()
    client.once("close", () => links.delete(link))
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as { port: number }).port,
    hold: () => {
      state = "holding"
      for (const link of links) link.pause()
    },
    release: () => {
      state = "passing"
      for (const link of links) link.resume()
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

interface Link {
  readonly pause: () => void
  readonly resume: () => void
  readonly destroy: () => void
}

/** Not `pipe`, which would resume by itself a socket that is held. */
const join = (client: Socket, target: Socket): Link => {
  const destroy = () => {
    client.destroy()
    target.destroy()
  }
  let held = false
  for (const [from, to] of [[client, target], [target, client]] as const) {
    from.on("data", (data) => {
      if (!to.write(data)) from.pause()
    })
    to.on("drain", () => {
      if (!held) from.resume()
    })
    from.on("error", destroy)
    from.on("close", destroy)
  }
  return {
    pause: () => {
      held = true
      client.pause()
      target.pause()
    },
    resume: () => {
      held = false
      client.resume()
      target.resume()
    },
    destroy
  }
}
