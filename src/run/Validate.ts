import { Effect, Redacted } from "effect"
import type { CaptureError } from "../capture/CaptureError.ts"
import * as CaptureState from "../capture/CaptureState.ts"
import { refuse } from "../capture/Preflight.ts"
import { checkSource, endpointCheck, publicationCheck } from "../capture/SourceChecks.ts"
import * as SourceFacts from "../capture/SourceFacts.ts"
import * as SlotState from "../capture/SlotState.ts"
import { AppConfig, type Settings } from "../Config.ts"
import { Kafka } from "../connections/Kafka.ts"
import { Postgres } from "../connections/Postgres.ts"
import { advice, type Check, error, type Finding, sentence } from "../domain/Finding.ts"
import { resnapshot } from "../domain/Remedy.ts"
import * as TopicName from "../domain/TopicName.ts"
import type { Pipeline } from "../materialize/Pipeline.ts"
import { readWrittenTables } from "../materialize/WrittenTables.ts"
import { checkTopics, type TopicFacts, topicsCheck } from "../publish/TopicChecks.ts"
import * as Topics from "../publish/Topics.ts"
import { checkColumns } from "./ColumnChecks.ts"
import * as Journal from "./Journal.ts"
import { checkAnnouncements, checkModes, checkRights, checkSources, checkWrittenTables, writtenTablesCheck } from "./PipelineChecks.ts"
import * as SlotCheck from "./SlotCheck.ts"

const slotCheckName = "replication slot"

/** All checks, in the order in which a person would make them. */
export interface Report {
  readonly checks: ReadonlyArray<Check>
}

/**
 * Looks at everything that capture and these pipelines rest on, and changes nothing. Facts are read once, by few questions; the
 * checks are pure functions of them. What can't be reached is a finding, and the rest is looked at all the same.
 */
export const validate = Effect.fnUntraced(function*(pipelines: ReadonlyArray<Pipeline>): Effect.fn.Return<Report, never, AppConfig | Kafka | Postgres> {
  const settings = yield* AppConfig
  const host = new URL(Redacted.value(settings.source.databaseUrl)).hostname
  const source = yield* Effect.result(SourceFacts.read(yield* Postgres, host, settings.source))
  const facts = source._tag === "Success" ? source.success : undefined
  const replication = facts !== undefined && mayConnect(facts) ? [reached("replication", "connects", yield* Effect.result(connect))] : []
  const slot = yield* Effect.result(readSlot)
  const state = slot._tag === "Success" ? slot.success : undefined
  const isSetUp = state !== undefined && state._tag !== "notSetUp"
  const written = yield* Effect.result(readWrittenTables(yield* Postgres, pipelines.filter(({ name }) => settings.pipelines.modes[name] !== "shadow")))
  const topics = yield* Effect.result(readTopics(facts?.tables ?? [], isSetUp))
  const relations = facts?.tables.flatMap(({ relation }) => relation === undefined ? [] : [relation]) ?? []
  return {
    checks: [
      reached("Postgres", "reached", source),
      ...replication,
      ...(facts === undefined ? [endpointCheck(host)] : []),
      ...(facts === undefined ? [] : checkSource(facts, settings.source)),
      ...(state === undefined ? [] : [slotCheck(state, settings.source)]),
      ...(facts === undefined ? [] : [checkColumns(settings.columns, relations, pipelines)]),
      checkSources(settings.source.tables, pipelines),
      checkAnnouncements(settings.kafka.eventTopics, pipelines),
      checkModes(settings.types, pipelines),
      ...(facts === undefined || written._tag === "Failure" ? [] : [checkWrittenTables(written.success, isSetUp), checkRights(written.success, facts.server.role)]),
      reached("Kafka", settings.kafka.brokers.join(", "), topics),
      ...(topics._tag === "Success" && facts !== undefined ? checkTopics(topics.success, settings) : [])
    ]
  }
})

/** What setup makes or repairs, or refuses by itself with the exit code that it deserves. */
const leftToSetup = new Set([publicationCheck, slotCheckName, topicsCheck, writtenTablesCheck])

/** Before anything is made: fails with all errors at once. Gives what else was found, a sentence each. */
export const requireReady = ({ checks }: Report): Effect.Effect<ReadonlyArray<string>, CaptureError> => {
  const findings = checks.filter(({ name }) => !leftToSetup.has(name)).flatMap((check) => check.findings)
  return Effect.as(
    refuse(findings.filter(({ severity }) => severity === "error")),
    findings.filter(({ severity }) => severity === "warning").map(sentence)
  )
}

/** Else a check of its own says why not. */
const mayConnect = ({ server, walSenders }: SourceFacts.SourceFacts): boolean => server.may_replicate && walSenders.used < walSenders.max

/** pg_hba.conf may let a role in for SQL alone, and a pooler speaks nothing else. */
const connect = Effect.scoped(Effect.flatMap(Postgres, (postgres) => postgres.connect({ replication: true })))

const readSlot = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const journal = yield* Journal.open(source.slot)
  const state = CaptureState.make(source.stateSchema, source.slot)
  return (yield* SlotCheck.look(state, source, { journal: journal.read, tail: undefined, isReader: false })).state
}).pipe(Effect.scoped)

const readTopics = Effect.fnUntraced(function*(tables: ReadonlyArray<SourceFacts.TableFacts>, isSetUp: boolean) {
  const { kafka: settings } = yield* AppConfig
  const kafka = yield* Kafka
  const ofTables = tables.flatMap(({ relation }): ReadonlyArray<Topics.WantedTopic> =>
    relation === undefined ? [] : [{ topic: TopicName.ofTable(settings.topicPrefix, relation), hasKey: relation.key.length > 0 }])
  const wanted = [...ofTables, ...Topics.ofEvents(settings)]
  const { brokers } = yield* kafka.admin("Asking for the cluster", (admin) => admin.describeCluster())
  const topics = yield* Topics.describe(wanted.map(({ topic }) => topic))
  return { brokers: brokers.length, wanted, topics, isSetUp } satisfies TopicFacts
})

const reached = (name: string, fine: string, outcome: { readonly _tag: "Success" } | { readonly _tag: "Failure"; readonly failure: { readonly message: string } }): Check => ({
  name,
  fine,
  findings: outcome._tag === "Success" ? [] : [unreached(name, outcome.failure.message)]
})

/** The message has its remedy behind the semicolon. */
const unreached = (name: string, message: string): Finding => {
  const [problem, ...remedy] = message.split("; ")
  return error(name, `can't be used: ${problem}`, remedy.length > 0 ? remedy.join("; ") : "then run `cdc validate` again")
}

const slotCheck = (state: SlotState.SlotState, names: Settings["source"]): Check => {
  const { exitCode, meaning, remedy } = SlotState.outcomes[state._tag]
  const thing = `Replication slot ${names.slot}`
  const problem = (SlotState.outcomes[state._tag].says as (state: SlotState.SlotState, names: SlotState.Names) => string)(state, names)
  const findings = state._tag === "notSetUp"
    ? [advice(thing, "is not set up yet", "`cdc setup`")]
    : exitCode === undefined ? [] : [error(problem.startsWith(thing) ? thing : "Capture:", problem.replace(`${thing} `, ""), remedy ?? resnapshot)]
  return { name: slotCheckName, fine: meaning, findings }
}
