import type { RowBytes } from "../domain/RowBytes.ts"
import type { EncodeAscii } from "./types/TypeFamily.ts"

/** Large enough that few are needed, small enough that the C library has one at hand. */
const blockBytes = 65_536

/** Up to this length a loop over the characters is quicker than a call into the runtime. */
const shortTextMaxLength = 64

/** The most bytes that a character of UTF-16 takes in UTF-8. */
const bytesPerCharacter = 3

/** What an `EncodeAscii` may add to twice the length of its value. */
const asciiExtraBytes = 32

/**
 * Builds pieces of bytes, one behind the other in blocks of memory: a piece is what was written since `begin`, and belongs to whoever takes
 * it. Strings are written where they end up, without being joined first, and bytes are copied as they are.
 */
export class ByteWriter {
  #block: Buffer = Buffer.alloc(0)
  /** Where the piece begins. */
  #start = 0
  /** Where it goes on. */
  #at = 0

  begin(): void {
    this.#start = this.#at
  }

  /** The piece; nothing more is written to it. */
  take(): Buffer {
    return this.#block.subarray(this.#start, this.#at)
  }

  bytes(source: Uint8Array): void {
    this.#reserve(source.length)
    this.#block.set(source, this.#at)
    this.#at += source.length
  }

  /** As UTF-8. */
  text(text: string): void {
    this.#reserve(bytesPerCharacter * text.length)
    if (text.length > shortTextMaxLength || !this.#shortAscii(text)) this.#at += this.#block.write(text, this.#at)
  }

  /** A column's value as `encode` has it; false, and nothing, where it can't. */
  ascii(encode: EncodeAscii, row: RowBytes, column: number): boolean {
    const start = row.start(column)
    const end = row.end(column)
    this.#reserve(2 * (end - start) + asciiExtraBytes)
    const at = encode(row.bytes, start, end, this.#block, this.#at)
    if (at < 0) return false
    this.#at = at
    return true
  }

  #shortAscii(text: string): boolean {
    const block = this.#block
    let at = this.#at
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) return false
      block[at++] = code
    }
    this.#at = at
    return true
  }

  /** A piece that does not fit goes on in a block of its own, with what it has so far; whoever has earlier ones keeps theirs. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#block.length) return
    const begun = this.#block.subarray(this.#start, this.#at)
    this.#block = Buffer.allocUnsafeSlow(Math.max(blockBytes, 2 * (begun.length + bytes)))
    this.#block.set(begun)
    this.#start = 0
    this.#at = begun.length
  }
}
