import { assert, describe, it } from "@effect/vitest"
import type { Piece, TablePlan } from "../../src/capture/SnapshotPlan.ts"
import type { Relation } from "../../src/domain/RowChange.ts"
import { SnapshotProgress } from "../../src/run/SnapshotProgress.ts"
import { describe as line, snapshotStatus } from "../../src/run/SnapshotStatus.ts"

const relation = (table: string): Relation => ({ oid: 1, schema: "s", table, replicaIdentity: "d", sendsOldKey: true, columns: [], key: [] })

/** Of two pieces, of 600 and of 400 bytes. */
const planOf = (table: string, estimatedRows: number | undefined): TablePlan & { readonly pieces: readonly [Piece, Piece] } => {
  const of = relation(table)
  return { relation: of, bytes: 1_000, estimatedRows, pieces: [{ relation: of, statement: "", bytes: 600 }, { relation: of, statement: "", bytes: 400 }] }
}

describe("the progress of a snapshot", () => {
  it("goes by the last ANALYZE until a piece is through, then by what is read, and ends with the truth", () => {
    const plan = planOf("a", 500)
    const progress = new SnapshotProgress([], [plan], 0)
    const read = (rows: number, pieces: ReadonlyArray<Piece>, tables: ReadonlyArray<Relation>, millis: number) => {
      progress.acknowledged({ rows: new Map([[plan.relation, rows]]), pieces: pieces.map((piece) => ({ piece, rows: 300 })), tables }, millis)
      return progress.status(millis).tables[0]!
    }
    assert.deepInclude(progress.status(0).tables[0]!, { state: "waiting", percent: 0, estimatedRows: 500, secondsLeft: null })
    progress.begun(plan.relation, 1_000)
    assert.deepInclude(read(100, [], [], 2_000), { state: "reading", percent: 20, estimatedRows: 500, rowsPerSecond: 100, secondsLeft: 4 })
    assert.deepInclude(read(200, [plan.pieces[0]], [], 4_000), { rows: 300, percent: 60, estimatedRows: 500, rowsPerSecond: 100, secondsLeft: 2 })
    assert.deepInclude(read(210, [], [], 5_000), { rows: 510, percent: 99.9, estimatedRows: 510 }) // more than thought
    assert.deepInclude(read(5, [plan.pieces[1]], [plan.relation], 6_000), { state: "done", rows: 515, percent: 100, estimatedRows: 515, secondsLeft: 0 })
    assert.deepInclude(progress.status(6_000), { state: "done", rows: 515, percent: 100, secondsLeft: 0 })
  })

  it("says nothing of a table that was never analysed, until a piece of it is through", () => {
    const plan = planOf("a", undefined)
    const progress = new SnapshotProgress([], [plan], 0)
    progress.begun(plan.relation, 0)
    progress.acknowledged({ rows: new Map([[plan.relation, 120]]), pieces: [], tables: [] }, 1_000)
    assert.deepInclude(progress.status(1_000).tables[0]!, { rows: 120, percent: null, estimatedRows: null, secondsLeft: null })
    progress.acknowledged({ rows: new Map(), pieces: [{ piece: plan.pieces[0], rows: 120 }], tables: [] }, 1_000)
    assert.deepInclude(progress.status(1_000).tables[0]!, { percent: 60, estimatedRows: 200 })
  })

  it("weighs tables by their size, counts what an earlier process did, and tells the rate of the last ten seconds", () => {
    const [small, large] = [planOf("small", 10), { ...planOf("large", 1_000), bytes: 8_000 }]
    const before = { table: "s.before", state: "done", rows: 7, estimatedRows: 7, bytes: 1_000, seconds: 1 } as const
    const progress = new SnapshotProgress([before], [small, large], 0)
    const read = (plan: TablePlan, rows: number, tables: ReadonlyArray<Relation>, millis: number) => {
      progress.begun(plan.relation, millis)
      progress.acknowledged({ rows: new Map([[plan.relation, rows]]), pieces: [], tables }, millis)
      return progress.toNote(millis)
    }
    read(small, 10, [small.relation], 1_000)
    assert.deepInclude(progress.status(1_000), { tablesDone: 2, rows: 17, percent: 20, rowsPerSecond: 10 })
    for (let second = 2; second <= 21; second++) read(large, 20, [], second * 1_000)
    const status = progress.status(21_000)
    assert.deepInclude(status, { tablesDone: 2, rows: 417, percent: 52, rowsPerSecond: 20 })
    assert.strictEqual(line(status), "2 of 3 tables, 417 rows, 52 %, 20 rows/s, 20 s left")
    assert.strictEqual(read(large, 0, [], 40_000).rowsPerSecond, 0) // it stands still
  })

  it("notes what has changed, and all of it after a note that failed", () => {
    const [a, b] = [planOf("a", 10), planOf("b", 10)]
    const progress = new SnapshotProgress([], [a, b], 0)
    const noted = (millis: number) => progress.toNote(millis).tables.map(({ state, table }) => `${table} ${state}`)
    assert.deepStrictEqual(noted(0), ["s.a waiting", "s.b waiting"])
    assert.deepStrictEqual(noted(1), [])
    progress.begun(a.relation, 2)
    assert.deepStrictEqual(noted(3), ["s.a reading"])
    progress.acknowledged({ rows: new Map(), pieces: [], tables: [a.relation] }, 4)
    assert.deepStrictEqual(noted(5), ["s.a done"])
    assert.deepStrictEqual(noted(6), [])
    progress.notNoted()
    assert.deepStrictEqual(noted(7), ["s.a done", "s.b waiting"])
  })

  it("of no tables, or none begun, is nothing, and a snapshot that is done is whole whatever was noted", () => {
    assert.deepInclude(snapshotStatus("pending", [], null), { percent: 0, rows: 0, rowsPerSecond: null, secondsLeft: null })
    assert.deepInclude(snapshotStatus("done", [], 5), { percent: 100, rowsPerSecond: null, secondsLeft: 0 })
  })
})
