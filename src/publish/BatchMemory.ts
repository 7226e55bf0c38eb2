/** Enough for the batches of one request, which are a few megabytes together; a larger one gets memory of its own. */
const keptBytes = 4 * 1_048_576

/**
 * Where the batches of a request are built. It is used again for the next request, rather than left to the collector, which finds some
 * megabytes per request late and pays for every page that was never touched before.
 */
export class BatchMemory {
  #block: Buffer = Buffer.alloc(0)
  #used = 0

  /** Whatever was taken before must not be needed any more. */
  reuse(): void {
    this.#used = 0
  }

  /** Bytes of any content, nobody else's until `reuse`. */
  take(bytes: number): Buffer {
    if (bytes > keptBytes - this.#used) return Buffer.allocUnsafeSlow(bytes)
    const end = this.#used + bytes
    if (end > this.#block.length) this.#grow(end) // what was taken from the old block keeps it
    const taken = this.#block.subarray(this.#used, end)
    this.#used = end
    return taken
  }

  /** By doubling: a quiet table's requests have some kilobytes. */
  #grow(atLeast: number): void {
    this.#block = Buffer.allocUnsafeSlow(Math.min(keptBytes, Math.max(2 * this.#block.length, atLeast)))
  }
}
