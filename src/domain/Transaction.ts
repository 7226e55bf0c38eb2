import type { Lsn } from "./Lsn.ts"

/** What a committed transaction says of itself before its first change (pgoutput's BEGIN message). */
export interface Transaction {
  /** The 32-bit transaction id, as Debezium prints it. */
  readonly xid: number
  /** Where its commit record starts; with `epoch` and `order`, the position of each of its changes. */
  readonly commitLsn: Lsn
  /** When it committed, in microseconds since 1970-01-01 UTC. */
  readonly commitMicros: bigint
}
