import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Fetched } from "../../src/consume/TopicReader.ts"
import { plan, type Step } from "../../src/run/PipelineBatches.ts"
import { batchOf, Changes } from "../support/Changes.ts"

const table = "outreach.bit_signals"

/** Fetched batches of some partitions: of each record, is it a row, a truncate, or unreadable? */
const fetchedOf = (kinds: ReadonlyArray<ReadonlyArray<"row" | "truncate" | "unreadable">>): ReadonlyArray<Fetched> =>
  kinds.map((ofPartition, partition) => {
    const changes = new Changes(1)
    for (const kind of ofPartition) {
      if (kind === "truncate") changes.truncate(table)
      else changes.append(table, "u", "k", {})
    }
    const batch = batchOf(changes.log(table, 0), 0)
    return {
      ...batch,
      partition,
      fromOffset: 0n,
      changes: batch.changes.filter((_, index) => ofPartition[index] !== "unreadable"),
      unreadable: batch.changes.filter((_, index) => ofPartition[index] === "unreadable").map(({ record }) => ({ record, key: null, isSuspect: true, why: { reason: "x", message: "x" } })),
      applied: () => {},
      reread: () => {}
    }
  })

const stepsOf = (fetched: ReadonlyArray<Fetched>, maxChanges: number) => plan(fetched, maxChanges).flatMap(({ steps }) => steps)
const batchesOf = (step: Step) => step._tag === "Apply" ? step.batches : [step.batch]
const kinds = fc.array(fc.array(fc.constantFrom("row" as const, "row" as const, "truncate" as const, "unreadable" as const), { maxLength: 12 }), { maxLength: 6 })

describe("a plan", () => {
  it("has every record once, each partition's in order, gapless from where it was read to where it ends", () => {
    fc.assert(fc.property(kinds, fc.nat({ max: 20 }), (kinds, maxChanges) => {
      const fetched = fetchedOf(kinds)
      const steps = stepsOf(fetched, maxChanges)
      for (const { changes, fromOffset, nextOffset, partition, unreadable } of fetched) {
        const parts = steps.flatMap(batchesOf).filter((batch) => batch.partition === partition)
        expect(parts.flatMap((part) => part.changes)).toEqual(changes)
        expect(parts.flatMap((part) => part.unreadable)).toEqual(unreadable)
        let at = fromOffset
        for (const part of parts) {
          expect(part.fromOffset).toBe(at)
          at = part.nextOffset
        }
        expect(at).toBe(nextOffset)
      }
    }))
  })

  it("leaves a truncate alone, and has each fetched batch, whole, in one sequence", () => {
    fc.assert(fc.property(kinds, (kinds) => {
      const fetched = fetchedOf(kinds)
      for (const step of stepsOf(fetched, 10)) {
        if (step._tag === "Truncate") expect(step.batch.changes).toEqual([step.truncate])
        else expect(step.batches.flatMap(({ changes }) => changes).filter(({ kind }) => kind === "truncate")).toEqual([])
      }
      const sequences = plan(fetched, 10)
      expect(new Set(sequences.flatMap((sequence) => sequence.fetched))).toEqual(new Set(fetched))
      expect(sequences.flatMap((sequence) => sequence.fetched)).toHaveLength(fetched.length)
      for (const sequence of sequences) {
        const partitions = (batches: ReadonlyArray<{ readonly partition: number }>) => new Set(batches.map(({ partition }) => partition))
        expect(partitions(sequence.steps.flatMap(batchesOf))).toEqual(partitions(sequence.fetched))
      }
    }))
  })

  it("shares transactions up to the limit, and splits no fetched batch for its size", () => {
    const rows = (count: number) => Array<"row">(count).fill("row")
    const sizes = stepsOf(fetchedOf([rows(3), rows(4), rows(3), rows(20), rows(1)]), 10).map((step) => batchesOf(step).map(({ changes }) => changes.length))
    expect(sizes).toEqual([[3, 4, 3], [20], [1]])
  })
})
