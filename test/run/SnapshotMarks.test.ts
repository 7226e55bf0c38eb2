import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import type { SnapshotMark } from "../../src/domain/RowChange.ts"
import { SnapshotMarks } from "../../src/run/SnapshotMarks.ts"

interface Given {
  readonly table: string
  readonly row: number
  readonly nth: number
  readonly mark: SnapshotMark
}

/**
 * What comes out of tables that are read side by side. `turns`: whose chunk comes next, of how many rows; then the rest, table by table.
 * As from a reader, the chunk after the last row is an empty one, and ends the table.
 */
const mark = (sizes: ReadonlyArray<number>, turns: ReadonlyArray<readonly [table: number, rows: number]>, isFirstRecord: boolean) => {
  const given: Array<Given> = []
  const done: Array<{ readonly table: string; readonly after: number }> = []
  const marks = new SnapshotMarks<string, number>(isFirstRecord, {
    row: (table, row, nth, mark) => given.push({ table, row, nth, mark }),
    tableDone: (table) => done.push({ table, after: given.filter((row) => row.table === table).length })
  })
  const read = sizes.map(() => 0)
  const ended = sizes.map(() => false)
  const chunk = (table: number, rows: number) => {
    if (ended[table]) return
    const to = Math.min(sizes[table]!, read[table]! + rows)
    const isEnd = read[table] === sizes[table]
    marks.rows(`t${table}`, Array.from({ length: to - read[table]! }, (_, index) => read[table]! + index + 1))
    read[table] = to
    if (!isEnd) return
    ended[table] = true
    marks.endTable(`t${table}`)
  }
  for (const [table, rows] of turns) chunk(table % sizes.length, rows)
  for (let table = 0; table < sizes.length; table++) chunk(table, Infinity)
  for (let table = 0; table < sizes.length; table++) chunk(table, 0)
  marks.end()
  return { given, done }
}

const input = fc.tuple(
  fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 }),
  fc.array(fc.tuple(fc.nat(4), fc.nat(3)), { maxLength: 12 }),
  fc.boolean()
)

describe("the marks of a snapshot", () => {
  it("stand where Debezium puts them, whatever way tables are read side by side", () => {
    fc.assert(fc.property(input, ([sizes, turns, isFirstRecord]) => {
      const { given } = mark(sizes, turns, isFirstRecord)
      given.forEach(({ nth, table, mark }, index) => {
        const isLastOfTable = nth === sizes[Number(table.slice(1))]
        const expected = index === given.length - 1 ? "last"
          : index === 0 && isFirstRecord ? "first"
          : isLastOfTable ? "last_in_data_collection"
          : nth === 1 ? "first_in_data_collection"
          : "true"
        assert.strictEqual(mark, expected)
      })
      const count = (wanted: SnapshotMark) => given.filter(({ mark }) => mark === wanted).length
      assert.strictEqual(count("last"), given.length > 0 ? 1 : 0)
      assert.strictEqual(count("first"), isFirstRecord && given.length > 1 ? 1 : 0)
    }))
  })

  it("go to every row once, in each table's order, and a table is done when all its rows have theirs", () => {
    fc.assert(fc.property(input, ([sizes, turns, isFirstRecord]) => {
      const { done, given } = mark(sizes, turns, isFirstRecord)
      sizes.forEach((size, table) => {
        const rows = given.filter((row) => row.table === `t${table}`)
        const all = Array.from({ length: size }, (_, index) => index + 1)
        assert.deepStrictEqual(rows.map(({ row }) => row), all)
        assert.deepStrictEqual(rows.map(({ nth }) => nth), all)
        assert.deepStrictEqual(done.filter((end) => end.table === `t${table}`), [{ table: `t${table}`, after: size }])
      })
    }))
  })
})
