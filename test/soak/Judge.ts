import * as Headers from "../../src/domain/Headers.ts"
import { misplaced } from "../support/FinalState.ts"
import type { ReadRecord } from "../support/TestTopics.ts"
import { type Counts, type Deeds, noCounts, type Witness } from "./Witness.ts"

interface Envelope {
  readonly op: "c" | "u" | "d" | "r" | "t"
  readonly source: { readonly synthetic?: boolean; readonly snapshot: string }
  readonly transaction: { readonly id: string }
}

/** What a topic tells of the transactions that were streamed into it, and what is wrong with it by itself. */
export interface Testimony {
  readonly deeds: Deeds
  /** Where the stream begins: the first snapshot's consistent point; undefined: it read no row of this table. */
  readonly consistentPoint: bigint | undefined
  readonly records: number
  readonly reads: number
  readonly faults: ReadonlyArray<string>
}

export const hear = (table: string, records: ReadonlyArray<ReadRecord>): Testimony => {
  const deeds: Deeds = new Map()
  const faults = misplaced(records).slice(0, 5).map((where) => `${table}: position repeated or going back at ${where}`)
  let consistentPoint: bigint | undefined
  let reads = 0
  let deletes = 0
  let tombstones = 0
  for (const { headers, partition, value } of records) {
    if (value === null) {
      tombstones++
      continue
    }
    const { op, source, transaction } = JSON.parse(value.toString()) as Envelope
    if (op === "d") deletes++
    const [xid, lsn] = transaction.id.split(":") as [string, string]
    if (op === "r") {
      reads++
      if (source.snapshot !== "incremental") consistentPoint = BigInt(lsn) + 1n
    } else if (source.synthetic !== true) count(deeds, `${xid} ${table}`, op, headers, partition)
  }
  if (deletes !== tombstones) faults.push(`${table}: ${deletes} deletes, but ${tombstones} tombstones`)
  return { deeds, consistentPoint, records: records.length, reads, faults }
}

const count = (deeds: Deeds, id: string, op: Envelope["op"], headers: ReadRecord["headers"], partition: number): void => {
  const counts = deeds.get(id) ?? noCounts()
  deeds.set(id, counts)
  if (op === "u") counts.updates++
  else if (op === "c" && Headers.oldKey in headers) counts.moves++
  else if (op === "c") counts.inserts++
  else if (op === "d" && !(Headers.newKey in headers)) counts.deletes++
  else if (op === "t" && partition === 0) counts.truncates++
}

/** Every transaction that was streamed, and no other, with every row of it once. `from`: what committed before is in the snapshot. */
export const compare = (table: string, topic: Deeds, witness: Witness, from: bigint): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const isOurs = (id: string) => id.endsWith(` ${table}`)
  for (const [id, counts] of topic) {
    const really = witness.deeds.get(id)
    if (really === undefined) faults.push(`${table}: transaction ${id.split(" ")[0]} is in the topic and never happened`)
    else faults.push(...differences(table, id, counts, really))
  }
  for (const id of witness.deeds.keys()) {
    const xid = Number(id.split(" ")[0])
    if (isOurs(id) && !topic.has(id) && witness.ends.get(xid)! > from) faults.push(`${table}: transaction ${xid} is missing`)
  }
  return faults
}

/** Records that a pipeline can't use, and that are not among its dead letters. */
export const notSetAside = (pipeline: string, bad: ReadonlyArray<ReadRecord>, letters: ReadonlyArray<ReadRecord>): ReadonlyArray<string> => {
  const places = new Set(letters.map(({ headers }) => `${headers[Headers.deadLetter.partition]}/${headers[Headers.deadLetter.offset]}`))
  const missing = bad.filter(({ offset, partition }) => !places.has(`${partition}/${offset}`))
  return missing.length === 0 ? [] : [`${pipeline}: ${missing.length} of ${bad.length} bad records are no dead letters, such as ${missing[0]!.partition}/${missing[0]!.offset}`]
}

const differences = (table: string, id: string, topic: Counts, really: Counts): ReadonlyArray<string> =>
  (Object.keys(really) as Array<keyof Counts>).filter((kind) => topic[kind] !== really[kind])
    .map((kind) => `${table}: transaction ${id.split(" ")[0]} has ${topic[kind]} ${kind} in the topic, ${really[kind]} happened`)
