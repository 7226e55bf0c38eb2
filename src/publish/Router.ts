import { murmur2, toPositive } from "./Murmur2.ts"

/**
 * The partition of a record: of a keyed one by its key's bytes, as Kafka's Java client does it; of one without a key
 * always the first, since the order of a table without a key is kept only if it stays in one place.
 */
export const partitionOf = (key: Uint8Array | null, partitions: number): number =>
  key === null ? 0 : toPositive(murmur2(key)) % partitions
