import type { Column, Table } from "./Database.ts"
import { type Difference, spelling } from "./Differences.ts"
import type { Operation } from "./Event.ts"
import { isObject, isWhole, type Json, NumberText } from "./Json.ts"

/** Where a difference is. */
export interface Place {
  readonly table: Table
  readonly operation: Operation
  /** TRUNCATEs in the event's transaction before it, which have no record and no ordinal in Debezium's. */
  readonly truncatesBefore: { readonly total_order: number; readonly data_collection_order: number }
  /** How many of `before` and `after` the event has. */
  readonly images: number
}

/** A difference between Debezium's event and ours that is there on purpose, as docs/wire-format.md lists it. */
export interface Rule {
  readonly name: string
  readonly explains: (difference: Difference, place: Place) => boolean
  /** How often it has to explain something in an event, where that is known: what ours alone has must be there. */
  readonly due?: (place: Place) => number
}

/** The rule that explains the difference; undefined: nothing does. */
export const explaining = (difference: Difference, place: Place): Rule | undefined => rules.find((rule) => rule.explains(difference, place))

/** The rules that should have explained more, or less, in an event in which they were used so often. */
export const unmet = (place: Place, used: ReadonlyMap<Rule, number>): ReadonlyArray<Rule> =>
  rules.filter((rule) => rule.due !== undefined && rule.due(place) !== (used.get(rule) ?? 0))

const isNumber = (json: Json | undefined): json is NumberText => json instanceof NumberText
const isInteger = (json: Json | undefined): json is NumberText => isNumber(json) && isWhole(json.text)
const isText = (json: Json | undefined): json is string => typeof json === "string"
const at = (path: ReadonlyArray<string>, pattern: RegExp): boolean => pattern.test(path.join("."))

/** Of the whole record and its envelope. */
const envelopeRules: ReadonlyArray<Rule> = [
  {
    name: "source.version, source.name: each its own",
    explains: ({ ours, path, theirs }) => at(path, /^value\.source\.(version|name)$/) && isText(theirs) && isText(ours)
  },
  {
    name: "ts_*: the clock of each connector",
    explains: ({ ours, path, theirs }) => at(path, /^value\.ts_(ms|us|ns)$/) && isInteger(theirs) && isInteger(ours)
  },
  {
    name: "source.lsn: of the record; of its commit",
    explains: ({ ours, path, theirs }) => at(path, /^value\.source\.lsn$/) && isInteger(theirs) && isInteger(ours)
  },
  {
    name: "source.sequence: as source.lsn",
    explains: ({ ours, path, theirs }) =>
      at(path, /^value\.source\.sequence$/) && isText(theirs) && isText(ours) && sequence.test(theirs) && sequence.test(ours)
  },
  {
    name: "source.snapshot of the stream: null; \"false\"",
    explains: ({ ours, path, theirs }, { operation }) =>
      operation !== "r" && at(path, /^value\.source\.snapshot$/) && theirs === null && ours === "false",
    due: ({ operation }) => operation === "r" || operation === "tombstone" ? 0 : 1
  },
  {
    name: "source.epoch: ours alone",
    explains: ({ ours, path, theirs }) => at(path, /^value\.source\.epoch$/) && theirs === undefined && isInteger(ours),
    due: ({ operation }) => operation === "tombstone" ? 0 : 1
  },
  {
    name: "transaction.id: the LSN of the record; of its commit",
    explains: ({ ours, path, theirs }) =>
      at(path, /^value\.transaction\.id$/) && isText(theirs) && isText(ours) && /^\d+:\d+$/.test(ours) &&
      theirs.split(":")[0] === ours.split(":")[0]
  },
  truncateCounts("total_order"),
  truncateCounts("data_collection_order"),
  {
    name: "headers __debezium.context.*: theirs alone",
    explains: ({ ours, path, theirs }) => path[0] === "headers" && path.length === 2 && path[1]!.startsWith("__debezium.context.") && isText(theirs) && ours === undefined
  },
  {
    name: "header of a changed key: control characters bare; escaped, so that it is JSON",
    explains: ({ ours, path, theirs }) =>
      path[0] === "headers" && /^__debezium\.(old|new)key$/.test(path[1]!) && isText(theirs) && isText(ours) && hasControl.test(theirs) &&
      theirs === ours.replaceAll(/\\(?:u[0-9a-f]{4}|.)/g, (escape) => /["\\]$/.test(escape) ? escape : JSON.parse(`"${escape}"`) as string)
  },
  {
    name: "header __cdc.position of a tombstone: ours alone",
    explains: ({ ours, path, theirs }, { operation }) =>
      operation === "tombstone" && path[0] === "headers" && path[1] === "__cdc.position" && theirs === undefined && isText(ours),
    due: ({ operation }) => operation === "tombstone" ? 1 : 0
  }
]

function truncateCounts(order: "total_order" | "data_collection_order"): Rule {
  return {
    name: `transaction.${order}: a TRUNCATE counts only in ours`,
    explains: ({ ours, path, theirs }, { truncatesBefore }) =>
      path.join(".") === `value.transaction.${order}` && isInteger(theirs) && isInteger(ours) &&
      BigInt(ours.text) - BigInt(theirs.text) === BigInt(truncatesBefore[order]),
    due: ({ operation, truncatesBefore }) => operation !== "tombstone" && truncatesBefore[order] > 0 ? 1 : 0
  }
}

// oxlint-disable-next-line no-control-regex
const hasControl = /[\u0000-\u001f]/
const sequence = /^\[(null|"\d+"),"\d+"\]$/

/** Of a snapshot's reads. */
const readRules: ReadonlyArray<Rule> = [
  {
    name: "read: source.ts_*, each its own snapshot",
    explains: ({ ours, path, theirs }, { operation }) =>
      operation === "r" && at(path, /^value\.source\.ts_(ms|us|ns)$/) && isInteger(theirs) && isInteger(ours)
  },
  {
    name: "read: source.txId, of its snapshot; none",
    explains: ({ ours, path, theirs }, { operation }) => operation === "r" && at(path, /^value\.source\.txId$/) && isInteger(theirs) && ours === null,
    due: ({ operation }) => operation === "r" ? 1 : 0
  },
  {
    name: "read: source.snapshot, which is first and last",
    explains: ({ ours, path, theirs }, { operation }) =>
      operation === "r" && at(path, /^value\.source\.snapshot$/) && snapshotMarks.includes(theirs) && snapshotMarks.includes(ours)
  },
  {
    name: "read: transaction, none; its position",
    explains: ({ ours, path, theirs }, { operation }) =>
      operation === "r" && at(path, /^value\.transaction$/) && theirs === null && isPosition(ours),
    due: ({ operation }) => operation === "r" ? 1 : 0
  }
]

const isPosition = (json: Json | undefined): boolean =>
  isObject(json) && Object.keys(json).join() === "id,total_order,data_collection_order" && isText(json.id) && /^0:\d+$/.test(json.id) &&
  isInteger(json.total_order) && isInteger(json.data_collection_order)

const snapshotMarks: ReadonlyArray<Json | undefined> = ["true", "first", "first_in_data_collection", "last_in_data_collection", "last"]

/** A rule about the values of some columns: `within` is the path below the column. */
const ofColumns = (
  name: string,
  is: (column: Column) => boolean,
  explains: (difference: Difference, within: ReadonlyArray<string>, operation: Operation) => boolean
): Rule => ({
  name,
  explains: (difference, { operation, table }) => {
    const [value, image, columnName, ...within] = difference.path
    if (value !== "value" || (image !== "before" && image !== "after")) return false
    const column = table.columns.find(({ name }) => name === columnName)
    return column !== undefined && is(column) && explains(difference, within, operation)
  }
})

const ofType = (pattern: RegExp) => ({ type }: Column): boolean => pattern.test(type)
const whole = (within: ReadonlyArray<string>): boolean => within.length === 0

/** Of values in rows. */
const valueRules: ReadonlyArray<Rule> = [
  {
    name: "before of the identity's columns: NOT NULL ones beside them invented; null",
    explains: ({ ours, path, theirs }, { table }) =>
      path.length === 3 && at(path.slice(0, 2), /^value\.before$/) && ours === null && theirs !== null && theirs !== undefined &&
      !table.identityColumns.includes(path[2]!) && table.columns.some(({ isRequired, name }) => name === path[2] && isRequired)
  },
  {
    name: "number: another spelling of the same",
    explains: ({ path }) => path.at(-1) === spelling && path[0] === "value"
  },
  ofColumns("stored generated column: only in the snapshot; always", ({ isGenerated }) => isGenerated, ({ ours, theirs }, within, operation) =>
    whole(within) && operation !== "r" && theirs === undefined && ours !== undefined),
  ofColumns("stored generated column, before Postgres 18: in the snapshot; never", ({ isGenerated }) => isGenerated, ({ ours, theirs }, within, operation) =>
    whole(within) && operation === "r" && theirs !== undefined && ours === undefined),
  ofColumns("name in the stream: null; its text", ofType(/^name$/), ({ ours, theirs }, within, operation) =>
    whole(within) && operation !== "r" && (theirs === null || theirs === "") && isText(ours)),
  ofColumns("bit(n)[]: null; the array", ofType(/^bit\(\d+\)\[\]$/), ({ ours, theirs }, within) => whole(within) && theirs === null && Array.isArray(ours)),
  ofColumns("enum array with a NULL: null; the array", ofType(/mood\[\]$/), ({ ours, theirs }, within) =>
    whole(within) && theirs === null && Array.isArray(ours) && ours.includes(null)),
  ofColumns("array of two dimensions: nulls; nested arrays", ofType(/\[\]$/), ({ ours, theirs }, within) =>
    whole(within) && Array.isArray(theirs) && theirs.every((element) => element === null) && Array.isArray(ours) && ours.every(Array.isArray)),
  ofColumns("timetz[]: without fractions; with them", ofType(/^time.* with time zone\[\]$/), ({ ours, theirs }, within) =>
    within.length === 1 && isText(theirs) && isText(ours) && ours.replace(/\.\d+Z$/, "Z") === theirs),
  ofColumns("numeric of negative scale: zeros without end; its text", ofType(/^numeric\(\d+,-\d+\)$/), ({ ours, theirs }, within) =>
    whole(within) && isText(theirs) && isText(ours) && theirs.replace(/\.0+$/, "") === ours),
  ofColumns("date of October 1582 in the snapshot: ten days off; right", ofType(/^date$/), ({ ours, theirs }, within, operation) =>
    whole(within) && operation === "r" && isInteger(theirs) && isInteger(ours) && BigInt(theirs.text) - BigInt(ours.text) === 10n &&
    ours.text.startsWith("-1414")),
  ofColumns("date before Christ or infinite in the snapshot: another day; as in the stream", ofType(/^date$/), ({ ours, theirs }, within, operation) =>
    whole(within) && operation === "r" && isInteger(theirs) && isInteger(ours) && isBeforeChristOrInfinite(BigInt(ours.text))),
  {
    ...ofColumns("type without a mapping: absent; Postgres' text", ofType(unmapped()), ({ ours, theirs }, within) =>
      whole(within) && theirs === undefined && (ours === null || isText(ours))),
    due: ({ images, table }) => images * table.columns.filter(ofType(unmapped())).length
  },
  ofColumns("NaN in numeric[]: null; the array", ofType(/^numeric.*\[\]$/), ({ ours, theirs }, within) =>
    whole(within) && theirs === null && Array.isArray(ours) && ours.includes("NaN")),
  ofColumns("timestamp out of range: a wrong number; its text", ofType(/^timestamp.* without time zone$/), ({ ours, theirs }, within) =>
    whole(within) && isInteger(theirs) && isText(ours) && /^\d{6}-/.test(ours))
]

/** Days since 1970, from 4713 BC on, or an infinity as Debezium has it in the stream. */
const isBeforeChristOrInfinite = (days: bigint): boolean => (days >= -2_440_588n && days < -719_162n) || days === -2_147_472_691n || days === -2_147_472_692n

function unmapped(): RegExp {
  const types = [
    "tsquery", "int4multirange", "line", "box", "path", "polygon", "circle", "pg_lsn", "xid8", "jsonpath", "zoo\\.pair", "regclass",
    "money\\[\\]", "interval\\[\\]", "bit varying\\[\\]", "point\\[\\]", "name\\[\\]", "xml\\[\\]"
  ]
  return new RegExp(`^(${types.join("|")})$`)
}

export const rules: ReadonlyArray<Rule> = [...envelopeRules, ...readRules, ...valueRules]
