/**
 * What a snapshot of Postgres sees, in the 32 bits of an xid that the stream has: xids before `xmin` have ended, those from
 * `xmax` on and those in `running` have not.
 */
export interface VisibleXids {
  readonly xmin: number
  readonly xmax: number
  readonly running: ReadonlySet<number>
}

/** Reads `pg_current_snapshot()`: `xmin:xmax:xid,xid…`, each of 64 bits. Source: Postgres manual, 9.27.4. */
export const parseSnapshot = (text: string): VisibleXids => {
  const [xmin, xmax, running = ""] = text.split(":")
  return { xmin: low32(xmin!), xmax: low32(xmax!), running: new Set(running.split(",").filter((xid) => xid !== "").map(low32)) }
}

/**
 * The ids of the transactions that one stream brought, the last 65,536 of them. The WAL has a commit before other sessions see it: its
 * backend flushes the record, may wait for a synchronous standby (on Neon, for the safekeepers), and only then leaves the list of running
 * transactions. One that is further back has long been seen: standbys release waiting transactions in the order of their commits.
 */
export class StreamedXids {
  readonly #ring = new Uint32Array(capacity)
  #count = 0

  /** How many were added, ever. */
  get count(): number {
    return this.#count
  }

  add(xid: number): void {
    this.#ring[this.#count++ % capacity] = xid
  }

  /** Whether one of the first `before` is not seen by the snapshot. */
  anyHidden(before: number, { running, xmax, xmin }: VisibleXids): boolean {
    for (let place = Math.max(0, this.#count - capacity); place < before; place++) {
      const xid = this.#ring[place % capacity]!
      if (precedes(xid, xmin)) continue
      if (!precedes(xid, xmax) || running.has(xid)) return true
    }
    return false
  }
}

const capacity = 65_536

/** xids wrap around; of two that can meet, the later one is less than 2^31 ahead. */
const precedes = (a: number, b: number): boolean => ((a - b) | 0) < 0

const low32 = (xid: string): number => Number(BigInt(xid) & 0xffff_ffffn)
