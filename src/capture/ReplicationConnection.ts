import type { EventEmitter } from "node:events"
import type { Duplex } from "node:stream"

/** `pg`'s connection below its client. */
export interface ReplicationConnection extends EventEmitter {
  /** Replaced when TLS starts, so always read anew. */
  readonly stream: Duplex
  readonly sendCopyFromChunk: (chunk: Buffer) => void
  readonly endCopyFrom: () => void
}
