import { assert, describe, it } from "@effect/vitest"
import { EventEmitter } from "node:events"
import { CaptureError } from "../../src/capture/CaptureError.ts"
import { ReplicationBuffer } from "../../src/capture/ReplicationBuffer.ts"
import type { ReplicationConnection } from "../../src/capture/ReplicationConnection.ts"

/** A server at the end of a connection that never breaks: it answers a status that asks for it, or is gone without a word. */
class Server extends EventEmitter {
  readonly statuses: Array<Buffer> = []
  isDestroyed = false
  readonly stream = { writable: false, pause: () => {}, resume: () => {}, destroy: () => this.isDestroyed = true }
  readonly #answers: boolean
  #enough: { readonly count: number; readonly reached: () => void } | undefined

  constructor(answers: boolean) {
    super()
    this.#answers = answers
  }

  sendCopyFromChunk(status: Buffer): void {
    this.statuses.push(status)
    if (this.#answers && status[33] === 1) setImmediate(() => this.emit("copyData", { chunk: keepalive }))
    if (this.#enough !== undefined && this.statuses.length >= this.#enough.count) this.#enough.reached()
  }

  /** Resolves at the `count`th status. */
  statusCount(count: number): Promise<void> {
    return new Promise((reached) => this.#enough = { count, reached })
  }
}

/** `k`, end of WAL, time, no answer wanted. */
const keepalive = Buffer.from(["k".charCodeAt(0), ...Array<number>(17).fill(0)])

/** Silence for three time-outs of 20 ms is too long. */
const reading = (server: Server): ReplicationBuffer => {
  const buffer = new ReplicationBuffer(server as unknown as ReplicationConnection, {
    maxBufferedBytes: 1_000, statusIntervalSeconds: 0.01, walSenderTimeoutSeconds: 0.02
  })
  buffer.start()
  return buffer
}

describe("a replication connection without a word from the server", () => {
  it("is given up as interrupted, so that capture connects anew", async () => {
    const server = new Server(false)
    const buffer = reading(server)
    const taken = await new Promise((resolve) => buffer.take(resolve))
    await buffer.close()
    assert.instanceOf(taken, CaptureError)
    assert.strictEqual(taken.reason, "interrupted")
    assert.isTrue(server.isDestroyed)
    assert.isTrue(server.statuses.every((status) => status[33] === 1), "it was asked each time")
  })

  it("is kept while the server answers, however little there is to read", async () => {
    const server = new Server(true)
    const buffer = reading(server)
    let taken: unknown
    buffer.take((what) => taken = what)
    await server.statusCount(12) // 120 ms
    await buffer.close()
    assert.isUndefined(taken)
    assert.isFalse(server.isDestroyed)
  })
})
