import type { RowBytes } from "../domain/RowBytes.ts"
import type { EncodeAscii } from "./types/TypeFamily.ts"

/** Large enough that few are needed, little beside what a send of a single record would else leave. */
const blockBytes = 65_536

/** Kept to be written again: a send that is under way, and the one that is being made. */
const keptBlocks = 64

/** Up to this length a loop over the characters is quicker than a call into the runtime. */
const shortTextMaxLength = 64

/** The most bytes that a character of UTF-16 takes in UTF-8. */
const bytesPerCharacter = 3

/** What an `EncodeAscii` may add to twice the length of its value. */
const asciiExtraBytes = 32

/**
 * Builds pieces of bytes, one behind the other in blocks of memory: a piece is what was written since `begin`, and belongs to whoever takes
 * it. Strings are written where they end up, without being joined first, and bytes are copied as they are. The blocks of pieces that nobody
 * needs any more are written again, rather than left to the collector, which would find them late.
 */
export class ByteWriter {
  #block: Buffer = noBlock
  /** Full, and not cut off yet. */
  #full: Array<Buffer> = []
  readonly #free: Array<Buffer> = []
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

  /**
   * Parts what was taken so far from what comes. What is returned gives the memory of all those pieces back: to be called once nobody needs
   * any of them, and never if that is not known.
   */
  cut(): () => void {
    const blocks = [...this.#full, this.#block]
    this.#full = []
    this.#block = noBlock
    this.#start = this.#at = 0
    return () => {
      for (const block of blocks) if (block.length === blockBytes && this.#free.length < keptBlocks) this.#free.push(block)
      blocks.length = 0
    }
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

  /** A piece that does not fit goes on in another block, with what it has so far; whoever has earlier ones keeps theirs. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#block.length) return
    const begun = this.#block.subarray(this.#start, this.#at)
    const needed = begun.length + bytes
    this.#full.push(this.#block)
    this.#block = needed > blockBytes ? Buffer.allocUnsafeSlow(2 * needed) : this.#free.pop() ?? Buffer.allocUnsafeSlow(blockBytes)
    this.#block.set(begun)
    this.#start = 0
    this.#at = begun.length
  }
}

const noBlock = Buffer.alloc(0)
