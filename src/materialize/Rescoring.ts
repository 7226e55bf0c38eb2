import { Effect } from "effect"
import type { Sql } from "../connections/Postgres.ts"
import * as TableName from "../domain/TableName.ts"
import { makeBagStore } from "./BagStore.ts"
import { inLockOrder } from "./ByGroup.ts"
import { makeEntryStore, type StoredEntry } from "./EntryStore.ts"
import { emptyState } from "./GroupState.ts"
import { makeGroupStore } from "./GroupStore.ts"
import { makeLinkStore } from "./LinkStore.ts"
import { mirrorKey } from "./MirrorWriter.ts"
import { makePendingKeys } from "./PendingKeys.ts"
import type { EntrySource, Pipeline } from "./Pipeline.ts"
import type { StateTables } from "./StateTables.ts"

/**
 * Makes the groups anew from the entries, under changed settings, in the caller's transaction and page by page; no topic is read
 * again. Entries hold what settings are applied to, never what came of it. Every row is then pending, and written if it differs.
 */
export const rescore = Effect.fnUntraced(function*(sql: Sql, pipeline: Pipeline, tables: StateTables) {
  const entryStore = makeEntryStore(tables)
  yield* sql.query("Emptying the groups", `update ${tables.groups} set state = '${emptyState}', standing = null`)
  yield* sql.query("Emptying the bags", `truncate ${tables.bags}`)
  let last: { readonly source: number; readonly key: string } = { source: -1, key: "" }
  while (true) {
    const page = yield* entryStore.after(sql, last, pageSize)
    if (page.length === 0) break
    yield* addPage(sql, pipeline, tables, page)
    last = page.at(-1)!
  }
  const pending = makePendingKeys(tables, pipeline.name)
  for (const [name, { target }] of Object.entries(pipeline.groups)) yield* pending.addEvery(sql, TableName.format(target.table), name)
})

const pageSize = 5_000

const addPage = Effect.fnUntraced(function*(sql: Sql, pipeline: Pipeline, tables: StateTables, page: ReadonlyArray<StoredEntry>) {
  const links = yield* makeLinkStore(tables).lock(sql, [...new Set(page.flatMap(({ link }) => link ?? []))].sort())
  const contributions = page.flatMap((entry) =>
    (pipeline.sources[entry.source] as EntrySource).contribute(entry.value as never, links.get(entry.link ?? "") ?? null, entry.phase)
  )
  const groupStore = makeGroupStore(tables)
  const groups = yield* groupStore.lock(sql, inLockOrder(contributions))
  for (const contribution of contributions) groups.get(contribution)!.add(contribution)
  yield* makeBagStore(tables).write(sql, groups.values())
  yield* groupStore.write(sql, groups.values())
  if (pipeline.mirror === undefined) return
  const mirrored = page.filter(({ source }) => (pipeline.sources[source] as EntrySource).mirror !== undefined)
  yield* makePendingKeys(tables, pipeline.name).add(sql, new Map([[TableName.format(pipeline.mirror.target.table), mirrored.map(mirrorKey)]]))
})
