import type { SourceChange } from "../domain/SourceChange.ts"
import type { Fetched } from "../consume/TopicReader.ts"
import type { ClaimedBatch } from "../materialize/Materializer.ts"

/** What is applied by itself: some partitions' batches in one transaction, or one TRUNCATE. */
export type Step =
  | { readonly _tag: "Apply"; readonly batches: ReadonlyArray<ClaimedBatch> }
  | { readonly _tag: "Truncate"; readonly batch: ClaimedBatch; readonly truncate: SourceChange }

/** Fetched batches, and the steps that apply them, in their order. No partition is in two sequences: they may be applied side by side. */
export interface Sequence {
  readonly fetched: ReadonlyArray<Fetched>
  readonly steps: ReadonlyArray<Step>
}

/**
 * Plans how fetched batches are applied. Partitions share transactions up to `maxChanges` (a fetched batch is never split for
 * its size); a TRUNCATE's record stands alone, between what came before and after it in its partition.
 */
export const plan = (fetched: ReadonlyArray<Fetched>, maxChanges: number): ReadonlyArray<Sequence> => {
  const sequences: Array<Sequence> = []
  let together: Array<Fetched> = []
  let changes = 0
  const flush = () => {
    if (together.length > 0) sequences.push({ fetched: together, steps: [{ _tag: "Apply", batches: together }] })
    together = []
    changes = 0
  }
  for (const batch of fetched) {
    if (batch.changes.some(isTruncate)) {
      sequences.push({ fetched: [batch], steps: aroundTruncates(batch) })
      continue
    }
    if (changes > 0 && changes + batch.changes.length > maxChanges) flush()
    together.push(batch)
    changes += batch.changes.length
  }
  flush()
  return sequences
}

const isTruncate = (change: SourceChange): boolean => change.kind === "truncate"

const aroundTruncates = (batch: Fetched): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  let fromOffset = batch.fromOffset
  const cut = (nextOffset: bigint): ClaimedBatch => {
    const within = ({ offset }: { readonly offset: bigint }) => offset >= fromOffset && offset < nextOffset
    const part = {
      ...batch,
      fromOffset,
      nextOffset,
      changes: batch.changes.filter(({ record }) => within(record)),
      unreadable: batch.unreadable.filter(({ record }) => within(record))
    }
    fromOffset = nextOffset
    return part
  }
  for (const truncate of batch.changes.filter(isTruncate)) {
    steps.push({ _tag: "Apply", batches: [cut(truncate.record.offset)] })
    steps.push({ _tag: "Truncate", batch: cut(truncate.record.offset + 1n), truncate })
  }
  return [...steps, { _tag: "Apply", batches: [cut(batch.nextOffset)] }]
}
