import { Effect } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"

/**
 * The port to listen on at 127.0.0.1: `wanted` if given, else the one of the last start (kept in `file`) if it is
 * still free, so that URLs stay the same, else any free one.
 */
export const choose = (file: string, wanted?: number): Effect.Effect<number> =>
  Effect.promise(async () => {
    const port = wanted ?? await free(remembered(file)) ?? (await free(0))!
    writeFileSync(file, `${port}\n`)
    return port
  })

const remembered = (file: string): number => existsSync(file) ? Number(readFileSync(file, "utf8")) : 0

/** 0 asks the system for one. */
const free = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(undefined))
    server.listen(port, "127.0.0.1", () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
