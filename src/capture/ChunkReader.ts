import { Effect, type Scope } from "effect"
import type pg from "pg"
import { Postgres, sqlOn } from "../connections/Postgres.ts"
import { fromCause, type PostgresError } from "../connections/PostgresError.ts"
import type { Relation } from "../domain/RowChange.ts"
import { withoutKey } from "../domain/Remedy.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"
import { CaptureError } from "./CaptureError.ts"
import * as Catalogue from "./Catalogue.ts"
import * as SessionSettings from "./SessionSettings.ts"
import { parseSnapshot, type VisibleXids } from "./StreamedXids.ts"

/** The text of each column. */
type TextRow = ReadonlyArray<string | null>

/** Some rows of a table in the order of its key, all seen in one snapshot. */
export interface Chunk {
  readonly relation: Relation
  /** The key's columns, each with its type: a place in the table means something only as long as these stay. */
  readonly keyColumns: ReadonlyArray<string>
  /** The texts that the stream has of the same values. */
  readonly rows: ReadonlyArray<TextRow>
  /** The key of the last row that was looked at, also if the condition left it out; undefined: there was none. */
  readonly lastKey: ReadonlyArray<string> | undefined
  readonly isLast: boolean
  readonly visible: VisibleXids
  /** When the snapshot was taken, µs since 1970. */
  readonly takenMicros: bigint
}

/** Where a chunk ended; the next one begins behind it. */
export interface Place {
  readonly keyColumns: ReadonlyArray<string>
  readonly lastKey: ReadonlyArray<string>
}

export interface ChunkReader {
  /**
   * The rows behind `place`, about `bytes` of records; from the table's beginning if there is none, or if the key is another one by now.
   * Fails with a `CaptureError` where the table can't be read again, with a retryable `PostgresError` where a migration holds it.
   */
  readonly read: (place: Place | undefined) => Effect.Effect<Chunk, CaptureError | PostgresError>
}

export interface ChunkOptions {
  readonly table: TableName.TableName
  /** SQL, run as it is in a read-only transaction. */
  readonly condition: string | undefined
  readonly publication: string
  readonly generatedColumns: boolean
  readonly bytes: number
}

/** On a connection of its own, closed with the scope; each chunk in a read-only transaction of its own, short enough to be in nobody's way. */
export const open = Effect.fnUntraced(function*(options: ChunkOptions): Effect.fn.Return<ChunkReader, PostgresError, Postgres | Scope.Scope> {
  const postgres = yield* Postgres
  const client = yield* postgres.connect({})
  yield* sqlOn(client).query("Preparing to read a table again", SessionSettings.statement(sessionSettings))
  const readOnly = readOnlyOn(client, TableName.format(options.table))
  const catalogue = Catalogue.make(sqlOn(client))
  const pace: Pace = { bytesPerRow: expectedBytesPerRow }
  return {
    read: (place) => readOnly(Effect.gen(function*() {
      const taken = yield* readSnapshot(client, options)
      const table = yield* describe(catalogue, options)
      const keyColumns = keyColumnsOf(table.relation)
      const from = place !== undefined && isBehind({ keyColumns }, place) ? place.lastKey : undefined
      return { relation: table.relation, keyColumns, ...taken, ...(yield* readRows(client, table, from, options, pace)) }
    }))
  }
})

/** A migration waits for us as long as a chunk takes, and we for it only this long: who queues behind a lock holds up all others. */
const lockWaitMillis = 100

const sessionSettings = {
  lock_timeout: `${lockWaitMillis}`,
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "60000",
  cursor_tuple_fraction: "0", // the plan that gives its first rows soonest is the one along the key's index
  jit: "off",
  row_security: "off" // an error instead of some of the rows
}

/**
 * The lock comes before the snapshot: a table rewritten by ALTER TABLE looks empty to an older one. Who interrupts us closes the
 * connection, and does not wait for a statement that is under way.
 */
const readOnlyOn = (client: pg.Client, name: string) => <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E | CaptureError | PostgresError> =>
  Effect.gen(function*() {
    yield* run(client, `Reading ${name} again`, "begin isolation level repeatable read read only")
    const exit = yield* Effect.exit(Effect.andThen(lock(client, name), work))
    yield* run(client, `Reading ${name} again`, "rollback")
    return yield* exit
  })

const lock = (client: pg.Client, name: string) =>
  run(client, `Locking ${name} for a chunk of rows`, `lock table ${TableName.toSql(TableName.parse(name))} in access share mode`).pipe(
    Effect.catchIf((error) => error.code === undefinedTable || error.code === undefinedSchema, () => unreadable(`Table ${name} is not in the database any more`))
  )

const undefinedTable = "42P01"
const undefinedSchema = "3F000"

const unreadable = (message: string) => Effect.fail(new CaptureError({ reason: "unsuitable", message }))

/** A table that is not published has no changes in the stream, so that a re-read would be out of date for ever. */
const readSnapshot = Effect.fnUntraced(function*(client: pg.Client, { publication, table }: ChunkOptions) {
  const name = TableName.format(table)
  const [row] = yield* sqlOn(client).query<{ visible: string; micros: bigint; published: boolean }>(`Taking a snapshot of ${name}`, `
    select pg_current_snapshot()::text as visible, (extract(epoch from now()) * 1000000)::bigint as micros,
      exists (
        select from pg_publication p where pubname = $1 and (
          puballtables
          or exists (select from pg_publication_rel where prpubid = p.oid and prrelid = to_regclass($2))
          or exists (select from pg_publication_namespace n join pg_class c on c.relnamespace = n.pnnspid where n.pnpubid = p.oid and c.oid = to_regclass($2)))
      ) as published`, [publication, TableName.toSql(table)])
  if (!row!.published) {
    yield* unreadable(`Table ${name} is not in publication ${publication}, so its changes are not streamed: \`cdc snapshot ${name}\` puts it back and reads it`)
  }
  return { visible: parseSnapshot(row!.visible), takenMicros: row!.micros }
})

const describe = Effect.fnUntraced(function*(catalogue: Catalogue.Catalogue, { generatedColumns, table }: ChunkOptions) {
  const name = TableName.format(table)
  const announced = yield* catalogue.announce(table, generatedColumns)
  if (announced === undefined) return yield* unreadable(`Table ${name} is not in the database any more`)
  const relation = yield* catalogue.resolve(announced.message)
  if (relation.key.length === 0) {
    return yield* unreadable(`Table ${name} has no key, so it can't be read in parts, and a row read again could not be told from another one: ${withoutKey(table)}`)
  }
  return { relation, isPartitioned: announced.isPartitioned }
})

/** The key's columns in its order, each with its type's OID. */
export const keyColumnsOf = (relation: Relation): ReadonlyArray<string> =>
  relation.key.map((index) => `${quoteIdentifier(relation.columns[index]!.name)} ${relation.columns[index]!.typeOid}`)

/** Whether the chunk goes on from there; else its key was changed, and it begins the table anew. */
export const isBehind = ({ keyColumns }: Pick<Chunk, "keyColumns">, place: Place): boolean =>
  keyColumns.length === place.keyColumns.length && keyColumns.every((column, index) => column === place.keyColumns[index])


/** What a row was seen to take, so that fetches are neither too large for the memory nor too small for the network. */
interface Pace {
  bytesPerRow: number
}

/** Of a row that was not seen yet. */
const expectedBytesPerRow = 2_048
/** What the envelope adds to a row's own text. */
const envelopeBytes = 600
/** Of a chunk, fetched at once: a sudden run of larger rows is noticed while the chunk is still small. */
const fetchesPerChunk = 4

const readRows = Effect.fnUntraced(function*(
  client: pg.Client,
  { isPartitioned, relation }: { readonly relation: Relation; readonly isPartitioned: boolean },
  from: ReadonlyArray<string> | undefined,
  { bytes: wantedBytes, condition }: ChunkOptions,
  pace: Pace
) {
  const doing = `Reading the rows of ${TableName.format(relation)} again`
  const columns = relation.columns.map(({ name }) => quoteIdentifier(name))
  const key = relation.key.map((index) => columns[index]!).join(", ")
  const wanted = condition === undefined ? "" : `, (${condition}\n) is true`
  const behind = from === undefined ? "" : ` where (${key}) > (${from.map((_, index) => `$${index + 1}`).join(", ")})`
  yield* run(client, doing, `declare chunk no scroll cursor for
    select ${columns.join(", ")}${wanted} from ${isPartitioned ? "" : "only "}${TableName.toSql(relation)}${behind} order by ${key}`, from)
  const rows: Array<TextRow> = []
  let last: TextRow | undefined
  let isLast = false
  let seen = 0
  for (let bytes = 0; !isLast && bytes < wantedBytes;) {
    const count = Math.min(Math.ceil(Math.min(wantedBytes / fetchesPerChunk, wantedBytes - bytes) / pace.bytesPerRow), mostRowsPerFetch)
    const fetched = yield* fetch(client, doing, count)
    isLast = fetched.length < count
    last = fetched.at(-1) ?? last
    seen += fetched.length
    for (const row of fetched) bytes += envelopeBytes + textBytes(row)
    if (seen > 0) pace.bytesPerRow = bytes / seen
    if (condition === undefined) rows.push(...fetched)
    else for (const row of fetched) if (row[columns.length] === "t") rows.push(row.slice(0, columns.length))
  }
  return { rows, isLast, lastKey: last === undefined ? undefined : keyOf(relation, last) }
})

const mostRowsPerFetch = 10_000

/** A key's columns are never null. */
const keyOf = ({ key }: Relation, row: TextRow): ReadonlyArray<string> => key.map((index) => row[index]!)

const textBytes = (row: TextRow): number => {
  let bytes = 0
  for (let column = 0; column < row.length; column++) bytes += row[column]?.length ?? 0
  return bytes
}

/** Values as Postgres writes them. The extended protocol takes a single statement, whatever a condition holds. */
const fetch = (client: pg.Client, doing: string, count: number) =>
  Effect.map(run(client, doing, `fetch forward ${count} from chunk`), (result) => result.rows as ReadonlyArray<TextRow>)

const run = (client: pg.Client, doing: string, text: string, values: ReadonlyArray<string> = []) =>
  Effect.tryPromise({
    try: () => client.query({ text, values: [...values], rowMode: "array", types: asText, queryMode: "extended" } as pg.QueryArrayConfig),
    catch: (cause) => fromCause(doing, cause)
  })

/**
 * Whether Postgres takes `condition` for that table: plans a query with it, which runs none of it but what can be computed beforehand, in a
 * read-only transaction. Fails with the server's `PostgresError`.
 */
export const checkCondition = (table: TableName.TableName, condition: string): Effect.Effect<void, PostgresError, Postgres> =>
  Effect.scoped(Effect.gen(function*() {
    const postgres = yield* Postgres
    const client = yield* postgres.connect({})
    const doing = `Checking the condition for ${TableName.format(table)}`
    yield* sqlOn(client).query(doing, SessionSettings.statement(sessionSettings))
    yield* run(client, doing, "begin read only")
    yield* run(client, doing, `explain select from ${TableName.toSql(table)} where (${condition}\n)`)
  }))

const asText = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig
