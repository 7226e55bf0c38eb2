import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
import * as RowKey from "../domain/RowKey.ts"
import { quoteIdentifier, quoteLiteral } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import type { Standing } from "./Announcing.ts"
import { lockWaitMillis } from "./Holding.ts"
import { makeOtherWriters } from "./OtherWriters.ts"
import type { Columns, Target } from "./Pipeline.ts"

/** A row as it should be. */
export interface WantedRow {
  readonly key: string
  readonly columns: Columns
  /** Must be there: is inserted if it is missing (and the target allows it). */
  readonly required: boolean
  /** The instant (µs) that it was rendered for. */
  readonly now: bigint
  /** How its announced column came to be as it is; null: the group announces nothing. */
  readonly standing?: Standing | null
}

/** What is to be done for rows to be as wanted, found without a lock. */
export interface WritePlan {
  readonly changes: ReadonlyArray<PlannedChange>
  /** Keys of rows that are as wanted. */
  readonly equal: ReadonlyArray<string>
  /** Keys of required rows whose parent is not there: written when it appears. */
  readonly orphans: ReadonlyArray<string>
}

export interface PlannedChange {
  readonly key: string
  readonly row: WantedRow
  readonly isMissing: boolean
}

export interface WriteOutcome {
  /** Keys of rows inserted, updated or deleted. */
  readonly changed: ReadonlyArray<string>
  /** Keys of rows that somebody holds: to be tried again. */
  readonly held: ReadonlyArray<string>
  /** Rows were inserted that may commit only if nobody else writes to the table by then, see `makeSureAlone`. */
  readonly mustStayAlone?: boolean
}

/**
 * Writes rows of the hub's tables, giving way to the hub: a row that another transaction holds is skipped, never waited for;
 * only owned columns are written, and only where a value differs; a row whose parent is on its way out is not inserted.
 */
export const makeTargetWriter = (target: Target) => {
  const sqlOf = compile(target)
  const others = makeOtherWriters(target.table)
  const keyColumns = Object.keys(target.key).length

  /** One array per key column. */
  const keysOf = (keys: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
    const parts = keys.map((key) => RowKey.partsOf(key, keyColumns)!)
    return Array.from({ length: keyColumns }, (_, column) => parts.map((values) => values[column]!))
  }

  const parametersOf = (rows: ReadonlyArray<WantedRow>) => [
    ...keysOf(rows.map((row) => row.key)),
    ...Object.keys(target.columns).map((column) => rows.map((row) => row.columns[column] ?? null)),
    ...(sqlOf.hasEvaluated ? [rows.map((row) => row.now)] : [])
  ]

  /**
   * Inserts what nobody else is inserting. A row that another transaction has inserted and not committed can't be seen, only waited
   * for; if one is met, halves are tried until it is found, or patience ends: what is left is held.
   */
  const insertFree = (sql: Sql, rows: ReadonlyArray<WantedRow>, patience: { left: number }): Effect.Effect<ReadonlyArray<WantedRow>, PostgresError> =>
    Effect.catch(insertAll(sql, rows), (error) =>
      !error.isLockTimeout ? Effect.fail(error) : Effect.gen(function*() {
        yield* sql.query("Going back", "rollback to savepoint inserting")
        if (rows.length === 1 || --patience.left <= 0) return []
        const half = rows.length >> 1
        return [...yield* insertFree(sql, rows.slice(0, half), patience), ...yield* insertFree(sql, rows.slice(half), patience)]
      }))

  const insertAll = Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedRow>) {
    yield* sql.query("Limiting the wait for inserts", `savepoint inserting; set local lock_timeout = '${insertWaitMillis}ms'`)
    const inserted = yield* sql.query<Found>(`Inserting into ${sqlOf.name}`, sqlOf.insert, parametersOf(rows))
    yield* sql.query("Keeping what was inserted", `release savepoint inserting; set local lock_timeout = '${lockWaitMillis}ms'`)
    return inserted.map(({ n }) => rows[Number(n) - 1]!)
  })

  const update = (sql: Sql, rows: ReadonlyArray<WantedRow>): Effect.Effect<ReadonlyArray<WantedRow>, PostgresError> =>
    rows.length === 0 ? Effect.succeed([]) : Effect.map(
      sql.query<Found>(`Updating ${sqlOf.name}`, sqlOf.update, parametersOf(rows)),
      (updated) => updated.map(({ n }) => rows[Number(n) - 1]!)
    )

  const present = (sql: Sql, keys: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, PostgresError> =>
    keys.length === 0 ? Effect.succeed([]) : Effect.map(
      sql.query<Found>(`Comparing ${sqlOf.name}`, sqlOf.present, keysOf(keys)),
      (found) => found.map(({ n }) => keys[Number(n) - 1]!)
    )

  return {
    target,

    /** Compares. Locks nothing, so that what the hub has is held for the writing itself, and then until the commit. */
    plan: Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedRow>): Effect.fn.Return<WritePlan, PostgresError> {
      if (rows.length === 0) return { changes: [], equal: [], orphans: [] }
      const found = yield* sql.query<Found & { is_missing: boolean; is_orphan: boolean }>(`Comparing ${sqlOf.name}`, sqlOf.differing, parametersOf(rows))
      const differing = found.map(({ is_missing, is_orphan, n }) => ({ row: rows[Number(n) - 1]!, isMissing: is_missing, isOrphan: is_orphan }))
      const wanted = differing.filter(({ isMissing, row }) => !isMissing || (target.insert && row.required))
      return {
        changes: wanted.filter(({ isOrphan }) => !isOrphan).map(({ isMissing, row }) => ({ key: row.key, row, isMissing })),
        equal: without(rows, differing.map(({ row }) => row)).map((row) => row.key),
        orphans: wanted.filter(({ isOrphan }) => isOrphan).map(({ row }) => row.key)
      }
    }),

    /** Carries out what was planned, updates last. A row that has come, gone or changed its parent since counts as held, and so does one that is not inserted while others write. */
    write: Effect.fnUntraced(function*(sql: Sql, changes: ReadonlyArray<PlannedChange>): Effect.fn.Return<WriteOutcome, PostgresError> {
      const missing = changes.flatMap(({ isMissing, row }) => isMissing ? [row] : [])
      const present = changes.flatMap(({ isMissing, row }) => isMissing ? [] : [row])
      if (target.parent === undefined || missing.length === 0) {
        return outcomeOf(changes, [...missing.length === 0 ? [] : yield* insertFree(sql, missing, { left: maxWaits }), ...yield* update(sql, present)])
      }
      if (yield* others.areWriting(sql)) return outcomeOf(changes, yield* update(sql, present))
      const inserted = yield* insertFree(sql, missing, { left: maxWaits })
      return { ...outcomeOf(changes, [...inserted, ...yield* update(sql, present)]), mustStayAlone: inserted.length > 0 }
    }),

    /** The last thing before the commit of what `mustStayAlone`: who has begun to write since did not see what was inserted. Then all is done again, without. */
    makeSureAlone: Effect.fnUntraced(function*(sql: Sql): Effect.fn.Return<void, PostgresError> {
      if (!(yield* others.areWriting(sql))) return
      const table = TableName.format(target.table)
      return yield* new PostgresError({ reason: "contended", code: "55P03", message: `Inserting into ${table}: somebody else has begun to write there; tried again without` })
    }),

    /** Deletes rows by key; those that somebody holds are left and named. */
    remove: Effect.fnUntraced(function*(sql: Sql, keys: ReadonlyArray<string>): Effect.fn.Return<WriteOutcome, PostgresError> {
      if (keys.length === 0) return { changed: [], held: [] }
      const removed = yield* sql.query<Found>(`Deleting from ${sqlOf.name}`, sqlOf.remove, keysOf(keys))
      const changed = removed.map(({ n }) => keys[Number(n) - 1]!)
      const isRemoved = new Set(changed)
      return { changed, held: keys.filter((key) => !isRemoved.has(key)) }
    }),

    /** Those keys that have a row. */
    present,

    /** What would have to be written for rows to be as wanted. Reads only, and waits for nobody. */
    compare: Effect.fnUntraced(function*(sql: Sql, rows: ReadonlyArray<WantedRow>): Effect.fn.Return<ReadonlyArray<Cell>, PostgresError> {
      if (rows.length === 0) return []
      const cells = yield* sql.query<Found & { column: string | null; stored: string | null; wanted: string | null }>(
        `Comparing ${sqlOf.name}`,
        sqlOf.cells,
        parametersOf(rows)
      )
      return cells.flatMap(({ column, n, stored, wanted }) => {
        const row = rows[Number(n) - 1]!
        if (column === null && !(target.insert && row.required)) return []
        return [{ key: row.key, column, stored, wanted }]
      })
    }),

    /** The instants (µs) that rows say they were evaluated for, by key: time never goes back for a row. */
    evaluatedAt: (sql: Sql, keys: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, bigint>, PostgresError> =>
      sqlOf.evaluatedAt === undefined || keys.length === 0 ? Effect.succeed(new Map()) : Effect.map(
        sql.query<Found & { at: bigint }>(`Reading ${sqlOf.name}`, sqlOf.evaluatedAt, keysOf(keys)),
        (rows) => new Map(rows.map(({ at, n }) => [keys[Number(n) - 1]!, at]))
      )
  }
}

/** A value that is not as wanted, as Postgres prints it; column null: a whole row is missing, or (with its key as `stored`) too many. */
export interface Cell {
  readonly key: string
  readonly column: string | null
  readonly stored: string | null
  readonly wanted: string | null
}

/** Which of the wanted rows, counted from 1: so no statement writes a key as text. */
interface Found {
  readonly n: bigint
}

export type TargetWriter = ReturnType<typeof makeTargetWriter>

/** Somebody else's insert is waited for this long, and so often in one transaction: meanwhile we hold rows of the hub ourselves. */
const insertWaitMillis = 2
const maxWaits = 20

const outcomeOf = (changes: ReadonlyArray<PlannedChange>, changed: ReadonlyArray<WantedRow>): WriteOutcome => ({
  changed: changed.map((row) => row.key),
  held: without(changes, changed).map(({ key }) => key)
})

const without = <Row extends { readonly key: string }>(rows: ReadonlyArray<Row>, found: ReadonlyArray<{ readonly key: string }>): ReadonlyArray<Row> => {
  if (found.length === 0) return rows
  const keys = new Set(found.map((row) => row.key))
  return rows.filter((row) => !keys.has(row.key))
}

/** The statements for one target; every name is quoted, every value is a parameter. Wanted rows are named by their ordinal `n`. */
const compile = (target: Target) => {
  const table = TableName.toSql(target.table)
  const keys = Object.entries(target.key)
  const columns = Object.entries(target.columns)
  const stamps = Object.entries(target.stamps ?? {})
  const evaluated = stamps.find(([, stamp]) => stamp.value === "evaluated")
  const values = columns.map((_, index) => `w.c${index}`)

  const keyArrays = keys.map(([, type], index) => `$${index + 1}::${type}[]`)
  const keyNames = keys.map((_, index) => `k${index}`)
  const arrays = [...keyArrays, ...columns.map(([, type], index) => `$${keys.length + index + 1}::${type}[]`)]
  const names = [...keyNames, ...columns.map((_, index) => `c${index}`)]
  if (evaluated !== undefined) {
    arrays.push(`$${arrays.length + 1}::bigint[]`)
    names.push("now_micros")
  }
  const wanted = `want as (select * from unnest(${arrays.join(", ")}) with ordinality as w(${names.join(", ")}, n))`
  const wantedKeys = `want as (select * from unnest(${keyArrays.join(", ")}) with ordinality as w(${keyNames.join(", ")}, n))`
  const isKeyOf = (row: string) => keys.map(([column], index) => `${row}.${quoteIdentifier(column)} = w.k${index}`).join(" and ")
  /** Stored rows of wanted ones: a look-up each, closed to the planner by "offset 0". A join of some hundred keys would read the whole of a table of some 10,000 rows. */
  const stored = `lateral (select * from ${table} t where ${isKeyOf("t")} offset 0) t`
  /** Says the same as the join to `free`, once more in the one form that has an UPDATE or DELETE look its rows up. */
  const isFree = `t.${quoteIdentifier(keys[0]![0])} = any(array(select k0 from free))`
  const isAbsent = `t.${quoteIdentifier(keys[0]![0])} is null`
  const differs = `(${columns.map(([column]) => `t.${quoteIdentifier(column)}`).join(", ")}) is distinct from (${values.join(", ")})`
  const stampValues = stamps.map(([, stamp]) => stampSql(stamp))
  const written = [...columns.map(([column]) => quoteIdentifier(column)), ...stamps.map(([column]) => quoteIdentifier(column))]
  const keyColumns = keys.map(([column]) => quoteIdentifier(column))
  const { backing, parent } = target
  const parents = parent === undefined ? undefined : `${TableName.toSql(parent.table)} p join want w on w.k0 = p.${quoteIdentifier(parent.column)}`
  const isOrphan = parent === undefined ? "false" : `${isAbsent} and not exists (select from ${TableName.toSql(parent.table)} p where p.${quoteIdentifier(parent.column)} = w.k0)`

  return {
    name: TableName.format(target.table),
    hasEvaluated: evaluated !== undefined,
    update: `with ${wanted},
      free as materialized (select w.* from want w cross join lateral (select from ${table} t where ${isKeyOf("t")} and ${differs} for no key update skip locked) t)
      update ${table} t set ${written.map((column, index) => `${column} = ${[...values, ...stampValues][index]}`).join(", ")}
      from free w where ${isKeyOf("t")} and ${isFree} and ${differs} returning w.n`,
    differing: `with ${wanted}
      select w.n, ${isAbsent} as is_missing, ${isOrphan} as is_orphan from want w left join ${stored} on true where ${isAbsent} or ${differs}`,
    cells: `with ${wanted}
      select w.n, v."column", v.stored, v.wanted from want w cross join ${stored} cross join lateral (values ${columns.map(([column], index) =>
        `(${quoteLiteral(column)}, t.${quoteIdentifier(column)}::text, ${values[index]}::text, t.${quoteIdentifier(column)} is distinct from ${values[index]})`
      ).join(", ")}) as v("column", stored, wanted, differs) where v.differs
      union all select w.n, null, null, null from want w where not exists (select from ${table} t where ${isKeyOf("t")} offset 0)`,
    insert: `with ${wanted}${parents === undefined ? "" : `, parent as materialized (select w.n from ${parents} for key share of p skip locked)`}
        ${backing === undefined ? "" : `, backed as materialized (${backedSql(backing)})`},
      inserted as (insert into ${table} (${[...keyColumns, ...written].join(", ")})
        select ${[...keyNames.map((name) => `w.${name}`), ...values, ...stampValues].join(", ")} from want w${parents === undefined ? "" : " join parent on parent.n = w.n"}
          ${backing === undefined ? "" : " join backed on backed.n = w.n"}
        on conflict do nothing returning ${keyColumns.join(", ")})
      select w.n from inserted i join want w on ${isKeyOf("i")}`,
    remove: `with ${wantedKeys}, free as materialized (select w.* from want w cross join lateral (select from ${table} t where ${isKeyOf("t")} for update skip locked) t)
      delete from ${table} t using free w where ${isKeyOf("t")} and ${isFree} returning w.n`,
    present: `with ${wantedKeys} select w.n from want w cross join ${stored}`,
    evaluatedAt: evaluated === undefined
      ? undefined
      : `with ${wantedKeys}
         select w.n, (extract(epoch from t.${quoteIdentifier(evaluated[0])}) * 1000000)::bigint as at from want w cross join ${stored}
         where t.${quoteIdentifier(evaluated[0])} is not null and isfinite(t.${quoteIdentifier(evaluated[0])})`
  }
}

/**
 * Who archives deletes what refers to a row, and then the row. What it has deleted already is locked until it commits; a row that is
 * inserted behind its back would make its last statement fail. Where one is free, our lock makes its delete wait, and then find our row.
 */
const backedSql = ({ column, table }: NonNullable<Target["backing"]>): string => {
  const rows = `from ${TableName.toSql(table)} b where b.${quoteIdentifier(column)} = w.k0`
  return `select w.n from want w cross join lateral (select ${rows} limit 1 for key share skip locked) b
    union all select w.n from want w where not exists (select ${rows})`
}

const stampSql = ({ type, value }: { readonly type: "timestamptz" | "timestamp"; readonly value: "evaluated" | "written" }): string => {
  const instant = value === "written" ? "now()" : "timestamptz 'epoch' + w.now_micros * interval '1 microsecond'"
  return type === "timestamptz" ? instant : `(${instant}) at time zone 'UTC'`
}
