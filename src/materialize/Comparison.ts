import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import { asStored, type Folded, type InstantOf } from "./Folding.ts"
import { emptyState } from "./GroupState.ts"
import type { EntrySource, Pipeline } from "./Pipeline.ts"
import { noWork, type Work } from "./Replacements.ts"
import type { StateTables } from "./StateTables.ts"
import type { Cell } from "./TargetWriter.ts"

/** How far a comparison is: some part of what is compared, and the last key of it that is done. */
export interface Cursor {
  readonly part: number
  readonly last: string
}

export const beginning: Cursor = { part: 0, last: "" }

export interface Page {
  readonly folded: Folded
  /** What would have to be written, by table; keys as `pending` has them. */
  readonly cells: ReadonlyMap<string, ReadonlyArray<Cell>>
  /** Rows that were looked at. */
  readonly compared: number
  /** undefined: this was the last page. */
  readonly next: Cursor | undefined
}

/** What is compared, in this order: rows that are ours come into state first, as some of them have nothing behind them any more. */
type Part =
  | { readonly kind: "managed" | "groups"; readonly group: string }
  | { readonly kind: "entries" | "surrogates"; readonly source: number }

/**
 * Compares the hub's rows with what a state says of them, a page per transaction and in bounded memory. Each row is rendered for the
 * instant that it says it stands for: what time alone has done to it since is no difference. State itself moves on by that, and not else.
 */
export const makeComparison = (
  pipeline: Pipeline,
  tables: StateTables,
  fold: (sql: Sql, work: Work, instantOf: InstantOf) => Effect.Effect<Folded, PostgresError>,
  compare: (sql: Sql, folded: Folded) => Effect.Effect<Page["cells"], PostgresError>
) => {
  const parts = partsOf(pipeline)
  const targetOf = (group: string) => TableName.format(pipeline.groups[group]!.target.table)

  const keysOf = Effect.fnUntraced(function*(sql: Sql, part: Part, last: string): Effect.fn.Return<ReadonlyArray<string>, PostgresError> {
    const ask = (statement: string, ...parameters: ReadonlyArray<unknown>) =>
      Effect.map(sql.query<{ key: string }>("Reading what to compare", `${statement} limit ${pageSize}`, [...parameters, last]), (rows) => rows.map(({ key }) => key))
    switch (part.kind) {
      case "managed":
        return yield* ask(`select key from ${tables.managed} where pipeline = $1 and target = $2 and key > $3 order by key`, pipeline.name, targetOf(part.group))
      case "groups":
        return yield* ask(`select key from ${tables.groups} where group_name = $1 and key > $2 order by key`, part.group)
      case "entries":
        return yield* ask(`select key from ${tables.entries} where source = $1 and key > $2 order by key`, part.source)
      case "surrogates":
        return yield* ask(
          `select s.key from ${tables.surrogates} s where s.pipeline = $1 and s.source = $2
           and not exists (select from ${tables.entries} e where e.source = $3 and e.key = s.key) and s.key > $4 order by s.key`,
          pipeline.name, TableName.format(pipeline.sources[part.source]!.table), part.source
        )
    }
  })

  /** Keys that are ours, whatever this state knows of them: what it knows nothing of has nothing behind it. */
  const bringIn = (sql: Sql, group: string, keys: ReadonlyArray<string>) =>
    sql.query(
      "Bringing what is managed into state",
      `insert into ${tables.groups} as g (group_name, key, state, evaluated_at, managed)
       select $1, n.key, '${emptyState}', 0, true from (select key collate "C" as key from unnest($2::text[]) as u(key)) n order by n.key
       on conflict (group_name, key) do update set managed = true where not g.managed`,
      [group, keys]
    )

  const page = Effect.fnUntraced(function*(sql: Sql, clock: bigint, { last, part: index }: Cursor): Effect.fn.Return<Page, PostgresError> {
    const part = parts[index]
    if (part === undefined) return { folded: nothing, cells: new Map(), compared: 0, next: undefined }
    const keys = yield* keysOf(sql, part, last)
    const next = keys.length === pageSize ? { part: index, last: keys.at(-1)! } : index + 1 < parts.length ? { part: index + 1, last: "" } : undefined
    if (part.kind === "managed") {
      if (keys.length > 0) yield* bringIn(sql, part.group, keys)
      return { folded: nothing, cells: new Map(), compared: 0, next }
    }
    const work = "group" in part
      ? { ...noWork, groups: keys.map((key) => ({ group: part.group, key })) }
      : { ...noWork, mirrors: keys.map((key) => ({ source: part.source, key })) }
    const folded = yield* fold(sql, work, asStored(clock))
    return { folded, cells: yield* compare(sql, folded), compared: keys.length, next }
  })

  return { page }
}

export type Comparison = ReturnType<typeof makeComparison>

const pageSize = 1_000
const nothing: Folded = { rows: new Map(), newlyManaged: [], overwritten: 0, mirrors: [] }

const partsOf = (pipeline: Pipeline): ReadonlyArray<Part> => [
  ...Object.keys(pipeline.groups).map((group): Part => ({ kind: "managed", group })),
  ...Object.keys(pipeline.groups).map((group): Part => ({ kind: "groups", group })),
  ...pipeline.sources.flatMap((entrySource, source): ReadonlyArray<Part> =>
    (entrySource as EntrySource).mirror === undefined ? [] : [{ kind: "entries", source }, { kind: "surrogates", source }])
]
