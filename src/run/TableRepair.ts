import { Effect } from "effect"
import { CaptureError } from "../capture/CaptureError.ts"
import * as CapturedTables from "../capture/CapturedTables.ts"
import * as Publication from "../capture/Publication.ts"
import * as Rereads from "../capture/Rereads.ts"
import * as TableSighting from "../capture/TableSighting.ts"
import { AppConfig } from "../Config.ts"
import type { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import * as TableName from "../domain/TableName.ts"
import * as TopicName from "../domain/TopicName.ts"
import { lossOf } from "../domain/TopicIdentity.ts"
import * as TopicIdentities from "../publish/TopicIdentities.ts"

/**
 * What `cdc snapshot` does first about a captured table: if changes of it may be missing in its topic, the table is put back into the
 * publication, is known from now on as what it is now, and will be read again, and its topic swept. Returns the request's id;
 * undefined: there is no gap. All of it commits at once, and a capture that runs takes it up.
 *
 * What commits between the gap and this transaction was not streamed, and is read. A transaction that wrote before this one committed and
 * ends after it is streamed in part at the most: the re-read waits for its end.
 */
export const repair = Effect.fnUntraced(function*(
  name: TableName.TableName
): Effect.fn.Return<bigint | undefined, CaptureError | KafkaError | PostgresError, AppConfig | Kafka | Postgres> {
  const { kafka, source } = yield* AppConfig
  const postgres = yield* Postgres
  const captured = CapturedTables.make(source.stateSchema, source.slot)
  const rereads = Rereads.make(source.stateSchema, source.slot)
  const topic = TopicName.ofTable(kafka.topicPrefix, name)
  const table = (yield* captured.load(postgres)).get(TableName.format(name))
  if (table === undefined) return undefined

  const look = TableSighting.read(postgres, source.publication, [name])
  const seen = (yield* look).get(TableName.format(name))
  const seenTopic = (yield* TopicIdentities.read([topic])).get(topic)
  const found = TableSighting.gapOf(table, seen, source.publication)
    ?? (table.topicId === null ? undefined : lossOf(topic, { id: table.topicId, ends: table.ends }, seenTopic))
  if (table.state === "captured" && found === undefined) return undefined
  if (seen === undefined) {
    return yield* cannot(`${TableName.format(name)} is not in the database: make it again, or take it out of source.tables and restart capture`)
  }
  if (seenTopic === undefined) return yield* cannot(`Topic ${topic} is gone: run \`cdc setup\` first, which makes it again`)

  return yield* postgres.transaction((sql) =>
    Effect.gen(function*() {
      if (table.state === "captured") yield* captured.markGapped(sql, table, found!)
      yield* putBack(sql, source.publication, name, seen)
      const now = (yield* TableSighting.read(sql, source.publication, [name])).get(TableName.format(name))
      if (now === undefined) return yield* cannot(`${TableName.format(name)} was dropped just now: make it again first`)
      yield* captured.remember(sql, name, now, seenTopic, "mending")
      return yield* rereads.request(sql, { table: name, sweep: true, reason: "gapped" })
    })
  )
})

/** Whole: without a row filter or a list of columns. */
const putBack = Effect.fnUntraced(function*(
  sql: Sql,
  publication: string,
  name: TableName.TableName,
  seen: TableSighting.TableSighting
) {
  const isPartial = seen.hasRowFilter || seen.hasColumnList
  if (isPartial) yield* Publication.dropTable(sql, publication, name)
  if (isPartial || !seen.isPublished) yield* Publication.addTables(sql, publication, [name])
})

const cannot = (message: string) => Effect.fail(new CaptureError({ reason: "unsuitable", message: `${message}.` }))
