import type { Table } from "../../../bench/debezium/Database.ts"
import { type Event, read } from "../../../bench/debezium/Event.ts"
import * as TableName from "../../../src/domain/TableName.ts"

const column = (name: string, type: string, isRequired = false) => ({ name, type, isRequired, isGenerated: false })

export const table: Table = {
  name: TableName.TableName("zoo", "t"),
  columns: [column("id", "bigint", true), column("note", "text", true), column("r", "double precision"), column("tags", "text[]"), column("span", "line"), column("day", "date")],
  identity: "d",
  key: ["id"],
  identityColumns: ["id"]
}

type Row = Readonly<Record<string, unknown>>

interface Change {
  readonly key: string
  readonly op: string
  readonly before: Row | null
  readonly after: Row | null
  readonly headers?: ReadonlyArray<readonly [string, string]>
  readonly xid?: string
  readonly order?: number
  readonly tableOrder?: number
}

/** JSON without quotes around what begins with #: a number as Java writes it. */
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value).replaceAll(/"#([^"]*)"/g, "$1"))

const times = (of: string) => ({ ts_ms: `#${of}`, ts_us: `#${of}123`, ts_ns: `#${of}123000` })
const connectorTimes = (of: number) => ({ ts_ms: of, ts_us: of * 1_000 + 7, ts_ns: of * 1_000_000 + 7_000 })

/** As Debezium writes a change. */
export const theirs = ({ after, before, headers = [], key, op, order = 1, xid = "555" }: Change): Event =>
  read({
    key: Buffer.from(key),
    headers: [...["connectorLogicalName", "taskId", "connectorName", "runId"].map((name) => [`__debezium.context.${name}`, "x"] as const), ...headers],
    value: json({
      before,
      after,
      source: {
        version: "3.6.1.Final", connector: "postgresql", name: "debezium", ts_ms: times("1559033904863").ts_ms, snapshot: op === "r" ? "first" : null, db: "hub",
        sequence: "[null,\"24023128\"]", ts_us: times("1559033904863").ts_us, ts_ns: times("1559033904863").ts_ns, schema: "zoo", table: "t", txId: `#${xid}`,
        lsn: "#24023128", xmin: null, origin: null, origin_lsn: null
      },
      transaction: op === "r" ? null : { id: `${xid}:24023128`, total_order: order, data_collection_order: 1 },
      op,
      ...connectorTimes(1_559_033_904_900)
    })
  })

/** As ours writes the same change. */
export const ours = ({ after, before, headers = [], key, op, order = 1, tableOrder = 1, xid = "555" }: Change): Event =>
  read({
    key: Buffer.from(key),
    headers,
    value: json({
      before,
      after,
      source: {
        version: "0.1.0", connector: "postgresql", name: "cdc", ts_ms: times(op === "r" ? "1559033904999" : "1559033904863").ts_ms, snapshot: op === "r" ? "true" : "false", db: "hub",
        sequence: "[\"24023999\",\"24023999\"]", ts_us: times(op === "r" ? "1559033904999" : "1559033904863").ts_us, ts_ns: times(op === "r" ? "1559033904999" : "1559033904863").ts_ns,
        schema: "zoo", table: "t", txId: op === "r" ? null : `#${xid}`, lsn: "#24023999", xmin: null, origin: null, origin_lsn: null, epoch: 1
      },
      transaction: { id: `${op === "r" ? "0" : xid}:24023999`, total_order: order, data_collection_order: tableOrder },
      op,
      ...connectorTimes(1_559_033_904_950)
    })
  })

export const tombstone = (key: string, headers: ReadonlyArray<readonly [string, string]>): Event => read({ key: Buffer.from(key), headers, value: null })

const row = (id: string) => ({ id: `#${id}`, note: "n", r: "#1.0E10", tags: ["a", null], day: 1 })
const withSpan = (row: Row, span: string | null): Row => {
  const { day, ...rest } = row
  return { ...rest, span, day }
}

const key = (id: string) => `{"id":${id}}`
const gone = { note: "", r: null, tags: null, day: null }
const context = ["connectorLogicalName", "taskId", "connectorName", "runId"].map((name) => [`__debezium.context.${name}`, "x"] as const)
const newKey = ["__debezium.newkey", key("2")] as const
const oldKey = ["__debezium.oldkey", key("1")] as const

/** A read, an insert, an update, a change of key and a delete: the pairs differ in what is different on purpose, and in no more. */
export const pairs: ReadonlyArray<readonly [theirs: Event, ours: Event]> = [
  [theirs({ key: key("9007199254740993"), op: "r", before: null, after: row("9007199254740993") }), ours({ key: key("9007199254740993"), op: "r", before: null, after: withSpan({ ...row("9007199254740993"), r: "#10000000000.0" }, "{1,2,3}") })],
  [theirs({ key: key("1"), op: "c", before: null, after: row("1") }), ours({ key: key("1"), op: "c", before: null, after: withSpan(row("1"), "{1,2,3}") })],
  [theirs({ key: key("1"), op: "u", before: null, after: row("1"), order: 2 }), ours({ key: key("1"), op: "u", before: null, after: withSpan(row("1"), null), order: 2 })],
  [
    theirs({ key: key("1"), op: "d", before: { id: "#1", ...gone }, after: null, headers: [newKey], order: 3 }),
    ours({ key: key("1"), op: "d", before: withSpan({ id: "#1", ...gone, note: null }, null), after: null, headers: [newKey], order: 3 })
  ],
  [tombstone(key("1"), [...context, newKey]), tombstone(key("1"), [newKey, ["__cdc.position", "1:24023999:3"]])],
  [
    theirs({ key: key("2"), op: "c", before: null, after: row("2"), headers: [oldKey], order: 4 }),
    ours({ key: key("2"), op: "c", before: null, after: withSpan(row("2"), "{1,2,3}"), headers: [oldKey], order: 4 })
  ]
]
