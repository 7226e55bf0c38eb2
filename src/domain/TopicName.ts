import type { TableName } from "./TableName.ts"

/**
 * `<prefix>.<schema>.<table>`; every character that Kafka does not allow becomes `_`, one by one,
 * as Debezium's `TopicNamingStrategy` does (`zoo."Sp ace-ü$x"` → `zoo.Sp_ace-__x`).
 */
export const ofTable = (prefix: string, { schema, table }: TableName): string => sanitize(`${prefix}.${schema}.${table}`)

/** The topics that sources are read from, in their order. */
export const ofSources = (prefix: string, sources: ReadonlyArray<{ readonly table: TableName }>): ReadonlyArray<string> =>
  sources.map(({ table }) => ofTable(prefix, table))

/** Where events of one kind are told to whoever wants to know: `<prefix>.events.<name>`. */
export const ofEvents = (prefix: string, name: string): string => sanitize(`${prefix}.events.${name}`)

/** Where each capture under this prefix remembers its slot. No table's name: schema `cdc` is our own. */
export const ofJournal = (prefix: string): string => sanitize(`${prefix}.cdc.journal`)

/** Where a pipeline sets aside what it can't use of a topic. */
export const ofDeadLetters = (topic: string, pipeline: string): string => `${topic}.${pipeline}.dlq`

/** The consumer group whose committed offsets mirror a pipeline's checkpoint, for lag tools. */
export const groupOfPipeline = (prefix: string, pipeline: string): string => `${prefix}.${pipeline}`

/** The `transactional.id` of the capture that reads this slot: of its processes the last one to take it writes. */
export const fenceOfSlot = (prefix: string, slot: string): string => `${prefix}.${slot}`

const sanitize = (name: string): string => name.replace(/[^A-Za-z0-9._-]/gu, "_")
