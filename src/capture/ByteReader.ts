import { DecodeError } from "./DecodeError.ts"

/** Reads one message front to back, big-endian, with every read checked against its end. */
export class ByteReader {
  readonly bytes: Buffer
  readonly #start: number
  readonly #end: number
  #offset: number

  /** The message lies between `start` and `end`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes
    this.#start = this.#offset = start
    this.#end = end
  }

  /** Where the next read begins, in `bytes`. */
  get offset(): number {
    return this.#offset
  }

  uint8(): number {
    return this.bytes[this.#advance(1)]!
  }

  uint16(): number {
    const at = this.#advance(2)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  int32(): number {
    const at = this.#advance(4)
    const bytes = this.bytes
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.#advance(8))
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64BE(this.#advance(8))
  }

  /** UTF-8 up to a zero byte. */
  cString(): string {
    const start = this.#offset
    const end = this.bytes.indexOf(0, start)
    if (end === -1 || end >= this.#end) throw this.fault("a text without its end")
    this.#offset = end + 1
    return this.bytes.toString("utf8", start, end)
  }

  /** Passes so many bytes by, and says where they start. */
  skip(length: number): number {
    return this.#advance(length)
  }

  view(length: number): Buffer {
    const start = this.#advance(length)
    return this.bytes.subarray(start, start + length)
  }

  /** Fails unless the message was read to its last byte. */
  end(): void {
    if (this.#offset !== this.#end) throw this.fault(`${this.#end - this.#offset} bytes too many`)
  }

  fault(problem: string): DecodeError {
    return new DecodeError(problem, this.#offset - this.#start)
  }

  #advance(length: number): number {
    const start = this.#offset
    if (length > this.#end - start) throw this.fault(`${length} bytes expected, ${this.#end - start} left`)
    this.#offset = start + length
    return start
  }
}
