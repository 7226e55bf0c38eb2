import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Relation } from "../domain/RowChange.ts"
import { quoteIdentifier, quoteLiteral } from "../domain/SqlIdentifier.ts"
import * as TableName from "../domain/TableName.ts"

/** A part of a table's rows that one reader reads in one go. The pieces of a table hold each of its rows once. */
export interface Piece {
  /** Of the table as it is captured: of a partition's rows, its root. */
  readonly relation: Relation
  /** The COPY that reads it. */
  readonly statement: string
  /** Its share of the table's bytes on disk: what there is to tell progress by before a row is read. */
  readonly bytes: number
}

export interface TablePlan {
  readonly relation: Relation
  /** In the order of their place on disk; at least one. */
  readonly pieces: ReadonlyArray<Piece>
  readonly bytes: number
  /** By the last ANALYZE, brought to the size of now; undefined: never analysed. */
  readonly estimatedRows: number | undefined
}

/** Of a table, or of a partition that is read for its root. */
export interface Storage {
  readonly table: TableName.TableName
  /** Only rows of a heap have an address by block. */
  readonly isHeap: boolean
  readonly blocks: number
  /** With what is stored out of line. */
  readonly bytes: number
  /** By the last ANALYZE; undefined: never analysed. */
  readonly rowsPerBlock: number | undefined
}

/**
 * Cuts tables into pieces of about `pieceBytes`, ranges of blocks, the last one open-ended. Asked under the snapshot, or after it was
 * taken: all rows that it shows are then in the file, and stay at their place while the tables are locked.
 */
export const make = Effect.fnUntraced(function*(
  sql: Sql,
  relations: ReadonlyArray<Relation>,
  pieceBytes: number
): Effect.fn.Return<ReadonlyArray<TablePlan>, PostgresError> {
  const rows = yield* sql.query<StoredStorage>("Measuring the tables to read", storagesStatement, [relations.map(({ oid }) => oid)])
  const storages = Map.groupBy(rows, (row) => row.root)
  return relations.map((relation) => planOf(relation, storagesOf(storages.get(relation.oid) ?? []), pieceBytes))
})

/** `storages`: the table itself or all its partitions; none: it is read as a whole, through its root. Pure. */
export const planOf = (relation: Relation, storages: ReadonlyArray<Storage>, pieceBytes: number): TablePlan => {
  const columns = relation.columns.map((column) => quoteIdentifier(column.name)).join(", ")
  const piece = (source: string, bytes: number): Piece => ({ relation, bytes, statement: `copy (select ${columns} from ${source}) to stdout` })
  return {
    relation,
    pieces: storages.length === 0 ? [piece(TableName.toSql(relation), 0)] : storages.flatMap((storage) => piecesOf(storage, pieceBytes, piece)),
    bytes: storages.reduce((sum, { bytes }) => sum + bytes, 0),
    estimatedRows: storages.length === 0 ? undefined : estimate(storages)
  }
}

/** Of a table only its own rows: those of tables that inherit from it are streamed as theirs. */
const piecesOf = (storage: Storage, pieceBytes: number, piece: (source: string, bytes: number) => Piece): ReadonlyArray<Piece> => {
  const source = `only ${TableName.toSql(storage.table)}`
  const { blocks, bytes } = storage
  const count = storage.isHeap ? Math.min(Math.ceil(bytes / pieceBytes), blocks) : 1
  if (count <= 1) return [piece(source, bytes)]
  const step = Math.ceil(blocks / count)
  const pieces: Array<Piece> = []
  for (let from = 0; from < blocks; from += step) {
    const to = from + step
    const above = to < blocks ? ` and ctid < ${tid(to)}` : ""
    pieces.push(piece(`${source} where ctid >= ${tid(from)}${above}`, bytes * (Math.min(to, blocks) - from) / blocks))
  }
  return pieces
}

const tid = (block: number): string => `${quoteLiteral(`(${block},0)`)}::tid`

const estimate = (storages: ReadonlyArray<Storage>): number | undefined => {
  let rows = 0
  for (const { blocks, rowsPerBlock } of storages) {
    if (blocks > 0 && rowsPerBlock === undefined) return undefined
    rows += blocks * (rowsPerBlock ?? 0)
  }
  return Math.round(rows)
}

interface StoredStorage {
  readonly root: number
  readonly schema: string
  readonly table: string
  readonly is_heap: boolean
  /** Whether its rows can be read without its root. */
  readonly is_readable: boolean
  readonly blocks: bigint
  readonly bytes: bigint
  readonly rows_per_block: number | null
}

/** All, or none: a partition that we may not read (or that is no table of this server) is read through the root. */
const storagesOf = (rows: ReadonlyArray<StoredStorage>): ReadonlyArray<Storage> =>
  !rows.every((row) => row.is_readable) ? [] : rows.map((row) => ({
    table: { schema: row.schema, table: row.table },
    isHeap: row.is_heap,
    blocks: Number(row.blocks),
    bytes: Number(row.bytes),
    rowsPerBlock: row.rows_per_block ?? undefined
  }))

/** `reltuples` is −1 before the first ANALYZE or VACUUM (Postgres manual, 52.11). */
const storagesStatement = `
  select root.oid as root, n.nspname as schema, c.relname as "table", coalesce(am.amname = 'heap', false) as is_heap,
    c.relkind = 'r' and has_table_privilege(c.oid, 'select') as is_readable,
    pg_relation_size(c.oid) / current_setting('block_size')::int as blocks, pg_table_size(c.oid) as bytes,
    case when c.reltuples >= 0 and c.relpages > 0 then c.reltuples / c.relpages end as rows_per_block
  from unnest($1::oid[]) as listed (oid)
  join pg_class root on root.oid = listed.oid
  cross join lateral (
    select root.oid as oid where root.relkind <> 'p'
    union all select relid from pg_partition_tree(root.oid) where root.relkind = 'p' and isleaf) as leaf
  join pg_class c on c.oid = leaf.oid
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_am am on am.oid = c.relam
  order by root.oid, n.nspname, c.relname`
