import { advice, type Check, error, type Finding, warning } from "../domain/Finding.ts"
import type { Relation } from "../domain/RowChange.ts"
import * as TableName from "../domain/TableName.ts"
import type { SourceFacts, TableFacts } from "./SourceFacts.ts"

/** What of the configuration the source is held against. */
export interface SourceExpectations {
  readonly walSenderTimeoutSeconds: number
  readonly statusIntervalSeconds: number
}

/** Everything that would fail, or break the source's own writes, once it is captured; each finding says its remedy. Pure. */
export const checkSource = (facts: SourceFacts, expected: SourceExpectations): ReadonlyArray<Check> => [
  endpointCheck(facts.host),
  version(facts),
  walLevel(facts),
  role(facts),
  room(facts),
  keptWal(facts),
  timeouts(facts, expected),
  tables(facts),
  replicaIdentity(facts),
  largeValues(facts),
  publication(facts),
  addedColumns(facts)
]

/** Needs no answer of the server: a pooled endpoint may be why there is none. */
export const endpointCheck = (host: string): Check => ({
  name: "direct endpoint",
  fine: host,
  findings: pooledProblem(host)
})

/** Neon's pooler speaks no replication protocol, and its sessions are not ours alone. */
export const pooledProblem = (host: string): ReadonlyArray<Finding> =>
  /-pooler\./.test(host)
    ? [error("DATABASE_URL", `points to a pooled endpoint (${host}), which has no replication`, "use the direct one, without \"-pooler\" in its host")]
    : []

const oldest = 15
const newest = 18

const version = ({ server }: SourceFacts): Check => {
  const major = Math.floor(server.version / 10_000)
  return {
    name: "server version",
    fine: `Postgres ${major}`,
    findings: major < oldest
      ? [error(`Postgres ${major}`, "is too old", `capture needs ${oldest} or newer: upgrade the server`)]
      : major > newest
      ? [warning(`Postgres ${major}`, `is newer than this version of cdc was tested with (${oldest} to ${newest})`, "try it on a branch first")]
      : []
  }
}

const walLevel = ({ server }: SourceFacts): Check => ({
  name: "wal_level",
  fine: server.wal_level,
  findings: server.wal_level === "logical" ? [] : [error(
    "wal_level",
    `is ${server.wal_level}, and capture needs logical`,
    "on Neon enable logical replication in the project's settings; elsewhere set wal_level = logical and restart Postgres"
  )]
})

const role = ({ closedSchema, mayCreate, publication, server, tables }: SourceFacts): Check => {
  const unreadable = tables.filter(({ isReadable, relation }) => relation !== undefined && !isReadable).map(({ name }) => name)
  const findings: Array<Finding> = []
  if (!server.may_replicate) {
    findings.push(error(`Role ${server.role}`, "may not replicate",
      `ALTER ROLE ${server.role} REPLICATION; on Neon use a role made by its console, CLI or API`))
  }
  if (unreadable.length > 0) {
    findings.push(error(`Role ${server.role}`, `may not read ${unreadable.join(", ")}`, "GRANT SELECT on them: the first snapshot reads them"))
  }
  // Once the publication is made, none of this is needed any more, until a table is added to it.
  if (publication === undefined && !mayCreate) {
    findings.push(error(`Role ${server.role}`, `may create neither publication nor schema in database ${server.database}`,
      `GRANT CREATE ON DATABASE ${server.database} TO ${server.role}`))
  }
  if (closedSchema !== undefined) {
    findings.push(error(`Role ${server.role}`, `may not use schema ${closedSchema} and all of its tables, where capture and pipelines keep their state`,
      `GRANT the role that ran setup TO ${server.role}, or go on as that role`))
  }
  const foreign = tables.filter(({ isOwned, name, relation }) => relation !== undefined && !isOwned && publication?.tables.has(name) !== true)
  if (foreign.length > 0) {
    findings.push(error(`Role ${server.role}`, `does not own ${some(foreign.map(({ name }) => name))}, and only owners may publish a table`,
      `GRANT the owning role TO ${server.role}, or run setup as the owner`))
  }
  return { name: "role", fine: `${server.role} may replicate, and read every table`, findings }
}

/** To begin with, one slot and one walsender for the stream, and at the same time one of each for the snapshot, until it is read. */
const room = ({ server, slotExists, slotIsRead, walSenders }: SourceFacts): Check => {
  const slots = server.max_slots - server.slots
  const senders = walSenders.max - walSenders.used
  const ofEach = slotExists ? "capture needs one" : "the stream and the first snapshot need one each"
  const findings: Array<Finding> = []
  if (!slotExists && slots < 2) {
    findings.push(error("max_replication_slots", `is ${server.max_slots}, of which ${slots === 0 ? "none" : "one"} is free, and ${ofEach}`,
      "drop a slot that nobody reads (pg_replication_slots, active = false), or raise it and restart Postgres"))
  }
  if (!slotIsRead && senders < (slotExists ? 1 : 2)) {
    findings.push(error("max_wal_senders", `is ${walSenders.max}, of which ${senders === 0 ? "none" : "one"} is free, and ${ofEach}`,
      "end a replica that is not needed, or raise it and restart Postgres"))
  }
  return { name: "slots and walsenders", fine: `${slots} of ${server.max_slots} slots free, ${senders} of ${walSenders.max} walsenders`, findings }
}

/** Below this, an hour's outage of Kafka at a usual rate of writes may cost the slot. */
const littleWalMegabytes = 1_024

const keptWal = ({ settings }: SourceFacts): Check => {
  const megabytes = settings.get("max_slot_wal_keep_size") ?? -1
  return {
    name: "WAL kept for the slot",
    fine: megabytes < 0 ? "without limit" : `up to ${megabytes} MB`,
    findings: megabytes < 0
      ? [advice("max_slot_wal_keep_size", "is unlimited: while capture stands still, WAL grows until the disk is full",
        "set it to what the disk can spare; a slot that falls behind it is lost, and `cdc setup --resnapshot` repairs that")]
      : megabytes < littleWalMegabytes
      ? [warning("max_slot_wal_keep_size", `is ${megabytes} MB: a short outage can cost the slot`, `raise it to ${littleWalMegabytes} MB or more`)]
      : []
  }
}

const day = 86_400_000

const timeouts = ({ server, settings }: SourceFacts, expected: SourceExpectations): Check => {
  const findings: Array<Finding> = []
  const idleSlot = settings.get("idle_replication_slot_timeout") ?? 0
  if (idleSlot > 0) {
    findings.push(warning("idle_replication_slot_timeout", `is ${duration(idleSlot)}: a slot that nobody reads for so long is lost`,
      idleSlot < day ? "raise it above your longest outage, a day at least, or set it to 0" : "keep capture running, or set it to 0"))
  }
  if (expected.walSenderTimeoutSeconds < expected.statusIntervalSeconds * 2) {
    findings.push(error("source.walSenderTimeoutSeconds", `is ${expected.walSenderTimeoutSeconds} s, and capture answers every ${expected.statusIntervalSeconds} s: the server would hang up`,
      "raise it to three times source.statusIntervalSeconds"))
  }
  // The replication connection and the snapshot's set their own; what pipelines and setup run is under the role's.
  for (const [name, least] of [["statement_timeout", 30_000], ["transaction_timeout", 60_000], ["idle_in_transaction_session_timeout", 10_000]] as const) {
    const value = settings.get(name) ?? 0
    if (value > 0 && value < least) {
      findings.push(warning(name, `is ${value} ms for this role: a pipeline's batch can take longer`, `ALTER ROLE ${server.role} SET ${name} = ${least}, or 0`))
    }
  }
  return { name: "timeouts", fine: "none that would end what capture or pipelines do", findings }
}

const tables = ({ tables }: SourceFacts): Check => {
  const missing = tables.filter(({ relation }) => relation === undefined)
  return {
    name: "tables",
    fine: `all ${tables.length} there`,
    findings: missing.map(({ name }) =>
      error(`Table ${name}`, "is to be captured, and not in the database", "create it, or take it off source.tables (CDC_SOURCE_TABLES)"))
  }
}

/** Postgres itself rejects UPDATE and DELETE on a published table without a replica identity; and a key outside of it is not sent. */
const replicaIdentity = ({ frozenTables, tables }: SourceFacts): Check => {
  const own = tables.flatMap((table) => identityProblem(table))
  const captured = new Set(tables.map(({ name }) => name))
  const others = frozenTables.filter((name) => !captured.has(name)).map((name) =>
    error(`Table ${name}`, "is in the publication without a replica identity: Postgres rejects its UPDATEs and DELETEs", "take it out of the publication"))
  return { name: "replica identity", fine: "every table's old rows are sent with their key", findings: [...own, ...others] }
}

const identityProblem = (table: TableFacts): ReadonlyArray<Finding> => {
  const { identity, name, relation } = table
  if (relation === undefined) return []
  const findings = partitionProblems(table, relation)
  if (identity.length === 0) {
    return [...findings, error(`Table ${name}`, "has no replica identity, so Postgres would reject the hub's UPDATEs and DELETEs once it is published",
      relation.key.length > 0 ? `ALTER TABLE ${name} REPLICA IDENTITY DEFAULT (its primary key)` : `give it a primary key, or ALTER TABLE ${name} REPLICA IDENTITY FULL`)]
  }
  const outside = keyOutside(relation, identity)
  return outside.length === 0 ? findings : [...findings, withoutItsKey(`Table ${name}`, outside, name)]
}

const partitionProblems = ({ partitions }: TableFacts, relation: Relation): ReadonlyArray<Finding> => {
  const partial = partitions.filter(({ isFull }) => !isFull)
  const good: Array<string> = []
  const findings = partial.flatMap(({ identity, name }): ReadonlyArray<Finding> => {
    if (identity.length === 0) {
      return [error(`Partition ${name}`, "has no replica identity, so Postgres rejects the hub's UPDATEs and DELETEs once it is published",
        `give it a primary key, or ALTER TABLE ${name} REPLICA IDENTITY FULL`)]
    }
    const outside = keyOutside(relation, identity)
    if (outside.length > 0) return [withoutItsKey(`Partition ${name}`, outside, name)]
    good.push(name)
    return []
  })
  if (relation.replicaIdentity !== "f" || good.length === 0) return findings
  const [which, like] = good.length === 1 ? [`partition ${good[0]!} is`, ""] : [`partitions ${some(good)} are`, ", and the others alike"]
  return [...findings, warning(`Table ${TableName.format(relation)}`,
    `is REPLICA IDENTITY FULL, and its ${which} not: Postgres goes by the partition's own, and sends of old rows no more than the key: the rest reads as null`,
    `ALTER TABLE ${good[0]!} REPLICA IDENTITY FULL${like}`)]
}

const keyOutside = ({ columns, key }: Relation, identity: ReadonlyArray<string>): ReadonlyArray<string> =>
  key.map((index) => columns[index]!.name).filter((column) => !identity.includes(column))

const withoutItsKey = (thing: string, outside: ReadonlyArray<string>, name: string): Finding =>
  error(thing, `sends its replica identity without its key column ${outside.join(", ")}, so deletes would have no key`,
    `ALTER TABLE ${name} REPLICA IDENTITY DEFAULT (or FULL)`)

/** With all of its old values: a partitioned table's rows come as its partitions send them. */
const sendsOldRows = ({ partitions, relation }: TableFacts): boolean =>
  partitions.length > 0 ? partitions.every(({ isFull }) => isFull) : relation?.replicaIdentity === "f"

/**
 * A large value that an update did not touch is not sent again, and stands in the topic as a placeholder: once compaction took the
 * record that had it, the topic lacks it. Not under FULL, where it comes with the old row.
 */
const largeValues = ({ tables }: SourceFacts): Check => {
  const possible = tables.filter((table) => table.relation !== undefined && !sendsOldRows(table) && table.largeColumns.length > 0)
  const actual = possible.filter(({ hasLargeValues }) => hasLargeValues)
  const later = possible.filter(({ hasLargeValues }) => !hasLargeValues)
  const findings = actual.map(({ largeColumns, name }) =>
    warning(`Table ${name}`, `has values stored out of line (${largeColumns.join(", ")}): an update that leaves one alone publishes a placeholder for it`,
      `ALTER TABLE ${name} REPLICA IDENTITY FULL`))
  if (later.length === 0) return { name: "large values", fine: "sent with every change", findings }
  return {
    name: "large values",
    fine: "sent with every change",
    findings: [...findings, advice(
      later.length === 1 ? `Table ${later[0]!.name}` : `${later.length} tables`,
      `can hold values of more than 2 kB, which Postgres does not send again with an update that leaves them alone${later.length === 1 ? "" : ` (${some(later.map(({ name }) => name))})`}`,
      "REPLICA IDENTITY FULL where such values are expected, at the price of more WAL"
    )]
  }
}

export const publicationCheck = "publication"

/** The first few of many names. */
const some = (names: ReadonlyArray<string>): string => names.length <= 4 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`

const publication = ({ publication, publicationName, slotExists, tables }: SourceFacts): Check => {
  const thing = `Publication ${publicationName}`
  if (publication === undefined) {
    return {
      name: publicationCheck,
      fine: "none yet; `cdc setup` makes it",
      findings: slotExists ? [error(thing, "is missing, and what commits meanwhile is never sent", "`cdc setup --resnapshot`")] : []
    }
  }
  const findings: Array<Finding> = []
  const { missingOperations } = publication
  const completed = `\`cdc setup${slotExists ? " --resnapshot" : ""}\` alters it`
  if (missingOperations.length > 0) {
    findings.push(error(thing, `does not publish ${missingOperations.join(", ")}: such changes are never sent`, completed))
  }
  const present = tables.filter(({ relation }) => relation !== undefined)
  const partitioned = publication.viaRoot ? [] : present.filter(({ partitions }) => partitions.length > 0)
  if (partitioned.length > 0) {
    findings.push(error(thing, `publishes rows of ${some(partitioned.map(({ name }) => name))} as those of partitions, which are not captured: none of them would be sent`, completed))
  }
  const unpublished = publication.allTables ? [] : present.filter((table) => !partitioned.includes(table) && !publication.tables.has(table.name))
  if (unpublished.length > 0) {
    findings.push(warning(thing, `lacks ${some(unpublished.map(({ name }) => name))}, whose changes are not sent`,
      slotExists ? "`cdc setup` adds a new table, `cdc snapshot TABLE` puts back one that was dropped" : "`cdc setup` adds them"))
  }
  for (const { hasColumnList, hasRowFilter, name } of present) {
    if (hasRowFilter) findings.push(error(`Table ${name}`, `is published with a row filter (WHERE): rows outside of it are never sent`, slotExists ? changeTable(publicationName, name) : completed))
    if (hasColumnList) findings.push(error(`Table ${name}`, `is published with a column list: its other columns are never sent`, `${slotExists ? changeTable(publicationName, name) : completed}; use columns.exclude instead`))
  }
  const captured = new Set(tables.map(({ name }) => name))
  const others = publication.allTables || partitioned.length > 0 ? [] : [...publication.tables].filter((name) => !captured.has(name)).sort()
  if (others.length > 0) {
    findings.push(advice(thing, `publishes ${others.join(", ")}, which ${others.length === 1 ? "is" : "are"} not captured`, "drop them from it: they are decoded for nothing"))
  }
  return { name: publicationCheck, fine: `${publicationName}, every operation of every table`, findings }
}

const changeTable = (publication: string, table: string): string =>
  `ALTER PUBLICATION ${publication} DROP TABLE ${table}, then \`cdc snapshot ${table}\``

const addedColumns = ({ tables }: SourceFacts): Check => ({
  name: "columns added with a default",
  fine: "none since the tables were read",
  findings: tables.filter(({ addedWithDefault }) => addedWithDefault.length > 0).map(({ addedWithDefault, name }) =>
    warning(`Table ${name}`, `got ${addedWithDefault.join(", ")} with a default, which Postgres sends for no old row: in the topic those lack it`, `\`cdc snapshot ${name}\``))
})

const duration = (milliseconds: number): string => milliseconds < 60_000 ? `${milliseconds / 1_000} s` : `${Math.round(milliseconds / 60_000)} min`
