import { Result, Schema } from "effect"
import type { Position } from "../domain/Position.ts"
import * as RowKey from "../domain/RowKey.ts"
import type { BadInput, BadRecord, SourceChange } from "../domain/SourceChange.ts"
import { unavailableValue } from "../domain/UnavailableValue.ts"
import type { GroupKey } from "./ByGroup.ts"
import type { LinkWrite } from "./LinkStore.ts"
import { badInput, type Entry, type EntrySource, isBadInput, type Pipeline, type Source, type SqlType } from "./Pipeline.ts"

/** The last word of a batch on one source row. */
export interface EntryChange {
  readonly source: number
  readonly key: string
  readonly partition: number
  readonly position: Position
  /** null: the row is gone, or contributes nothing. */
  readonly entry: Entry<unknown> | null
  readonly isRead: boolean
}

/** A batch, read: what it says of rows, links and triggers, and what it says that can't be used. */
export interface Reading {
  /** By `entryId`. */
  readonly entries: ReadonlyMap<string, EntryChange>
  readonly links: ReadonlyMap<string, LinkWrite>
  readonly triggered: ReadonlyArray<GroupKey>
  readonly bad: ReadonlyArray<BadRecord>
}

export const entryId = ({ key, source }: { readonly source: number; readonly key: string }): string => `${source}\0${key}`

/** Makes the reader of a pipeline's sources. Of several changes of one row in a batch only the last has any effect. */
export const makeSourceReader = (pipeline: Pipeline) => {
  const decoders = pipeline.sources.map((source) => source.kind === "trigger" ? undefined : rowDecoder(source.row))

  const keyTypes = pipeline.sources.map((source) => keyTypesOf(pipeline, source))

  return (changes: ReadonlyArray<{ readonly source: number; readonly change: SourceChange }>): Reading => {
    const entries = new Map<string, EntryChange>()
    const links = new Map<string, LinkWrite>()
    const triggered: Array<GroupKey> = []
    const bad: Array<BadRecord> = []

    for (const { change, source: index } of changes) {
      if (change.kind === "truncate") continue // has a transaction of its own, see Materializer
      const source = pipeline.sources[index]!
      const { key, position, record: { partition } } = change
      const unfit = unfitKey(key, keyTypes[index])
      if (unfit !== undefined) {
        bad.push({ record: change.record, key, isSuspect: false, why: unfit })
        continue
      }
      if (source.kind === "trigger") {
        if (isTriggered(source, change)) triggered.push({ group: source.group, key })
        continue
      }
      const decoded = change.kind === "upsert" ? decoders[index]!(change.row) : Result.succeed(null)
      if (Result.isFailure(decoded)) {
        bad.push({ record: change.record, key, isSuspect: true, why: decoded.failure }) // nothing is known of the row: what it contributed before stays
        continue
      }
      const row = decoded.success
      if (source.kind === "links") {
        const value = row === null ? null : source.link(row as never)
        if (isTooLong(value)) bad.push({ record: change.record, key, isSuspect: true, why: tooLong })
        else links.set(key, { key, value, partition, position })
        continue
      }
      const entry = row === null ? null : withinKeys(source, source.entry(row as never))
      if (entry !== null && isBadInput(entry)) bad.push({ record: change.record, key, isSuspect: entry === tooLong, why: entry })
      entries.set(entryId({ source: index, key }), {
        source: index,
        key,
        partition,
        position,
        entry: entry === null || isBadInput(entry) ? null : entry,
        isRead: change.kind === "upsert" && change.isRead
      })
    }
    return { entries, links, triggered, bad }
  }
}

/** A btree's row holds 2,704 bytes; a character has up to 4. */
const maxKeyCharacters = 600

/** Refuses an entry whose keys no index could hold, so that it can't stop the rest. */
const withinKeys = (source: EntrySource, entry: Entry<unknown> | BadInput | null): Entry<unknown> | BadInput | null => {
  if (entry === null || isBadInput(entry)) return entry
  for (const { bags, key } of source.contribute(entry.value as never, null, 0)) {
    if (isTooLong(key)) return tooLong
    for (const bag in bags) if (isTooLong(bags[bag])) return tooLong
  }
  return isTooLong(entry.link) ? tooLong : entry
}

const isTooLong = (key: string | null | undefined): boolean => key !== null && key !== undefined && key.length > maxKeyCharacters
const tooLong = badInput("key-too-long", `a value that rows are grouped by has more than ${maxKeyCharacters} characters`)

/** The types that Postgres compares a source's keys as, where it does. */
const keyTypesOf = (pipeline: Pipeline, source: Source): ReadonlyArray<SqlType> | undefined => {
  if (source.kind === "trigger") return Object.values(pipeline.groups[source.group]!.target.key)
  return source.kind === "entries" && source.carry !== undefined ? [source.carry.key.type] : undefined
}

/** Why Postgres would refuse the key, and with it the batch that it is in. */
const unfitKey = (key: string, types: ReadonlyArray<SqlType> | undefined): BadInput | undefined => {
  if (types === undefined) return undefined
  const parts = RowKey.partsOf(key, types.length)
  if (parts === undefined) return badInput("key-of-other-columns", `the key is not one of ${types.length} columns, which this table's is`)
  return types.every((type, index) => type !== "uuid" || uuid.test(parts[index]!))
    ? undefined
    : badInput("key-not-uuid", "the key is not a uuid, which this table's is")
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const isTriggered = (source: Extract<Source, { kind: "trigger" }>, change: SourceChange): boolean =>
  source.on === "disappear" ? change.kind === "delete" : change.kind === "upsert" && change.isNew

/** Decodes a row, or says which column does not fit; never what is in it. */
const rowDecoder = (schema: Schema.ConstraintDecoder<unknown>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (row: unknown): Result.Result<unknown, BadInput> =>
    Result.flatMap(
      Result.mapError(decode(row), (failure) => {
        const column = /\["([^"]+)"\]/.exec(String(failure))?.[1] ?? "?"
        return badInput("unreadable-row", `column ${column} is missing, or not of the type that this pipeline reads`)
      }),
      withoutPlaceholders
    )
}

/** Postgres does not send a large value that did not change, and state never takes the placeholder for one (hard part 16). */
const withoutPlaceholders = (row: unknown): Result.Result<unknown, BadInput> => {
  const column = Object.entries(row as object).find(([, value]) => value === unavailableValue)?.[0]
  if (column === undefined) return Result.succeed(row)
  return Result.fail(badInput("value-unavailable", `column ${column} is large and was not sent again; REPLICA IDENTITY FULL makes Postgres send it`))
}
