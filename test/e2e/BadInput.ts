import { unavailableValue } from "../../src/domain/UnavailableValue.ts"

/** A record that can't be used, as somebody's program might write it, and the reason that each pipeline must give. */
export interface BadInput {
  readonly what: string
  readonly reason: string
  readonly key: Buffer // a compacted topic takes no record without one
  readonly value: Buffer
}

/** Where good rows of a topic come from: the column that is its key, a good row without it, and a column that its pipelines read as text. */
export interface Source {
  readonly key: string
  readonly row: Readonly<Record<string, unknown>>
  readonly text: string
}

/** Beyond all that capture wrote, so that nothing here looks like a repetition. */
let order = 0
const transaction = () => ({ id: `0:${2n ** 62n}`, total_order: ++order })

export const envelope = (after: object | undefined, over: object = {}): object => ({
  op: "c", before: null, after, source: { epoch: 1, ts_us: 1_767_225_600_000_000 }, transaction: transaction(), ...over
})

/** One of each kind that needs no knowledge of the table but its key and one column of text. */
export const badInputs = ({ key, row, text }: Source, id: (n: number) => unknown): ReadonlyArray<BadInput> => {
  let n = 0
  const made: Array<BadInput> = []
  const add = (reason: string, what: string, value: (row: object) => unknown, keyOf: (id: unknown) => unknown = (id) => ({ [key]: id })) => {
    const own = id(n++)
    const bytes = value({ ...row, [key]: own })
    const keyValue = keyOf(own)
    made.push({
      what,
      reason,
      key: Buffer.from(typeof keyValue === "string" ? keyValue : JSON.stringify(keyValue)),
      value: Buffer.isBuffer(bytes) ? bytes : Buffer.from(typeof bytes === "string" ? bytes : JSON.stringify(bytes))
    })
  }
  add("not-json", "text", () => "<row/>")
  add("not-json", "no bytes", () => "")
  add("not-json", "bytes that are no text", () => Buffer.from([0xff, 0xfe, 0x00]))
  add("not-json", "an envelope cut short", (row) => JSON.stringify(envelope(row)).slice(0, -3))
  add("not-json", "more than a dead letter holds", () => "x".repeat(900_000))
  add("not-an-envelope", "a number", () => "7")
  add("not-an-envelope", "an array", (row) => [envelope(row)])
  add("not-an-envelope", "a bare row", (row) => row)
  add("not-an-envelope", "Debezium's schema around it", (row) => ({ schema: {}, payload: envelope(row) }))
  add("not-an-envelope", "no row", () => envelope(undefined))
  add("not-an-envelope", "an instant that is none", (row) => envelope(row, { source: { epoch: 1, ts_us: "now" } }))
  add("no-position", "a transaction of another program", (row) => envelope(row, { transaction: { id: "571", total_order: 1 } }))
  add("no-position", "no epoch", (row) => envelope(row, { source: { ts_us: 1 } }))
  add("unknown-op", "a message", (row) => envelope(row, { op: "m" }))
  add("no-key", "a key that is a text", envelope, (id) => String(id))
  add("no-key", "a key that is null", envelope, () => ({ [key]: null }))
  add("zero-in-text", "what Postgres can't store", (row) => envelope({ ...row, [text]: "a\0b" }))
  add("half-in-text", "what UTF-8 can't hold", (row) => envelope({ ...row, [text]: "a\ud800" }))
  add("unreadable-row", "no column", () => envelope({ [key]: id(n) }))
  add("unreadable-row", "a column of another type", (row) => envelope({ ...row, [text]: { a: 1 } }))
  add("value-unavailable", "a large value that was not sent", (row) => envelope({ ...row, [text]: unavailableValue }))
  return made
}
