import { DecodeError } from "./DecodeError.ts"

/** Above this, copying the whole message into a string first costs more than it saves on its columns. */
const wholeMessageMaxBytes = 2048
/** Up to this length a loop over the bytes is quicker than a call into the runtime. */
const shortTextMaxBytes = 48

/**
 * Reads one message front to back, big-endian, with every read checked against its end. All that it returns is a copy:
 * the buffer belongs to the socket.
 */
export class ByteReader {
  readonly #bytes: Buffer
  readonly #end: number
  #offset = 0
  /** The message, a character per byte: ASCII columns are cut out of it, at a fraction of the cost of a conversion each. */
  #characters: string | undefined

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#end = bytes.length
  }

  uint8(): number {
    return this.#bytes[this.#advance(1)]!
  }

  uint16(): number {
    const at = this.#advance(2)
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!
  }

  int32(): number {
    const at = this.#advance(4)
    const bytes = this.#bytes
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#advance(8))
  }

  uint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8))
  }

  /** UTF-8 up to a zero byte. */
  cString(): string {
    const start = this.#offset
    const end = this.#bytes.indexOf(0, start)
    if (end === -1) throw this.fault("a text without its end")
    this.#offset = end + 1
    return this.#bytes.toString("utf8", start, end)
  }

  /** UTF-8 of a known length. */
  text(length: number): string {
    const start = this.#advance(length)
    if (length > shortTextMaxBytes || this.#end > wholeMessageMaxBytes || !this.#isAscii(start, length)) {
      return this.#bytes.toString("utf8", start, start + length)
    }
    const characters = this.#characters ??= this.#bytes.toString("latin1")
    return characters.slice(start, start + length)
  }

  copy(length: number): Buffer {
    const start = this.#advance(length)
    return Buffer.from(this.#bytes.subarray(start, start + length))
  }

  /** Fails unless the message was read to its last byte. */
  end(): void {
    if (this.#offset !== this.#end) throw this.fault(`${this.#end - this.#offset} bytes too many`)
  }

  fault(problem: string): DecodeError {
    return new DecodeError(problem, this.#offset)
  }

  #advance(length: number): number {
    const start = this.#offset
    if (length > this.#end - start) throw this.fault(`${length} bytes expected, ${this.#end - start} left`)
    this.#offset = start + length
    return start
  }

  #isAscii(start: number, length: number): boolean {
    let seen = 0
    for (let at = start; at < start + length; at++) seen |= this.#bytes[at]!
    return seen < 0x80
  }
}
