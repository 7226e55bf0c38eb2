import * as PgOutput from "./PgOutput.ts"
import type { WalMessage } from "./WalMessage.ts"

/** Of a block of memory: enough that few are needed, and little beside what may wait. */
const blockBytes = 65_536
/** Before each message: its length. */
const lengthBytes = 4

/**
 * Some messages of the stream as they came, which are decoded when they are taken: what waits are bytes, not objects that the collector
 * copies from place to place. Stretches follow each other in blocks of memory; none is used again, so rows may be views of it.
 */
export class WalStretch {
  readonly #block: Buffer
  readonly #start: number
  #end: number

  private constructor(block: Buffer, start: number) {
    this.#block = block
    this.#start = this.#end = start
  }

  /** Begins where `last` ended, if there is room for a message of so many bytes. */
  static behind(last: WalStretch | undefined, bytes: number): WalStretch {
    return last?.hasRoomFor(bytes) === true
      ? new WalStretch(last.#block, last.#end)
      : new WalStretch(Buffer.allocUnsafeSlow(Math.max(blockBytes, lengthBytes + bytes)), 0)
  }

  hasRoomFor(bytes: number): boolean {
    return this.#end + lengthBytes + bytes <= this.#block.length
  }

  get bytes(): number {
    return this.#end - this.#start
  }

  /** The message is `chunk` from `from` on, for which there is room. Returns by how much the stretch grew. */
  add(chunk: Buffer, from: number): number {
    const bytes = chunk.length - from
    this.#block.writeUInt32BE(bytes, this.#end)
    chunk.copy(this.#block, this.#end + lengthBytes, from)
    this.#end += lengthBytes + bytes
    return lengthBytes + bytes
  }

  /** Throws a `DecodeError` at the first that is no message. */
  decode(): ReadonlyArray<WalMessage> {
    const messages: Array<WalMessage> = []
    for (let at = this.#start; at < this.#end;) {
      const from = at + lengthBytes
      at = from + this.#block.readUInt32BE(at)
      messages.push(PgOutput.decode(this.#block, from, at))
    }
    return messages
  }
}
