import { Effect } from "effect"
import type { OutgoingRecord } from "../domain/OutgoingRecord.ts"
import type { RowChange } from "../domain/RowChange.ts"
import { EncodeError } from "../publish/EncodeError.ts"
import type { RecordEncoder } from "../publish/RecordEncoder.ts"

/** What `encode` throws of its table is a failure; anything else a defect. */
export const attempt = <A>(encode: () => A): Effect.Effect<A, EncodeError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(encode())
    } catch (cause) {
      if (cause instanceof EncodeError) return Effect.fail(cause)
      throw cause
    }
  })

/** Appends the records of all changes; one clock reading for all, and one effect. */
export const encode = (
  encoder: RecordEncoder,
  changes: ReadonlyArray<RowChange>,
  into: Array<OutgoingRecord>
): Effect.Effect<void, EncodeError> =>
  attempt(() => {
    const nowMicros = BigInt(Date.now()) * 1_000n
    for (let index = 0; index < changes.length; index++) encoder.encode(changes[index]!, nowMicros, into)
  })

/** `op` of each kind of change, for counting; a change of key counts as one update. */
const operations: Readonly<Record<RowChange["kind"], string>> = { insert: "c", update: "u", delete: "d", truncate: "t", read: "r" }

/** Calls back once per run of changes of one table and kind. */
export const count = (changes: ReadonlyArray<RowChange>, tell: (change: RowChange, op: string, count: number) => void): void => {
  for (let start = 0; start < changes.length;) {
    const first = changes[start]!
    let end = start + 1
    while (end < changes.length && changes[end]!.relation === first.relation && changes[end]!.kind === first.kind) end++
    tell(first, operations[first.kind], end - start)
    start = end
  }
}
