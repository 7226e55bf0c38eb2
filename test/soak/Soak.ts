import { Effect, Layer, ManagedRuntime } from "effect"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { topic as tierChanged } from "../../pipelines/bit-scores/TierChanged.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { Activity } from "../../src/embedded/hub/Activity.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { seeded } from "../../src/embedded/hub/Random.ts"
import { runCdc } from "../support/CdcProcess.ts"
import { expectedRows, finalRows } from "../support/FinalState.ts"
import { createTopics } from "../support/TestTopics.ts"
import { brokenChains, storedTiers } from "../support/TierChain.ts"
import { type Fault, faults } from "./Faults.ts"
import * as Judge from "./Judge.ts"
import * as Witness from "./Witness.ts"
import * as World from "./World.ts"

export interface SoakOptions {
  /** For how long things go wrong; starting, recovering and judging come on top. */
  readonly minutes: number
  /** The same seed chooses the same faults and the same writes, if not their instants. */
  readonly seed: number
  /** Nothing but this fault, by its name. */
  readonly only?: string | undefined
  /** A line for a person, as it happens. */
  readonly tell: (line: string) => void
}

export interface Verdict {
  readonly faults: number
  readonly transactions: number
  readonly records: number
  readonly archives: World.World["archives"]
  readonly seconds: number
  /** From the end of the last fault until everything was applied. */
  readonly recoverySeconds: number
  /** Empty: nothing lost, nothing twice, nothing wrong. */
  readonly findings: ReadonlyArray<string>
}

/**
 * The product at work while everything around it, and itself, is killed, frozen and cut off at random; afterwards every topic is
 * held against a witness of its own (another slot, another plugin), against the tables, and the aggregates against the oracles.
 */
export const soak = async ({ minutes, only, seed, tell }: SoakOptions): Promise<Verdict> => {
  const began = Date.now()
  const world = await World.make(minutes < 5 && only === undefined ? 4_000 : 50_000)
  const hub = hubAtWork(world.databaseUrl, seed)
  try {
    await hub.runPromise(prepare({ companies: 200, seed, badInput: true }))
    await runCdc(["setup"], world.environment)
    const witness = await Witness.call(world, "witness")
    for (const instance of world.instances) instance.start()
    await hub.runPromise(Effect.flatMap(Activity, (activity) => activity.resume))
    tell(`two instances at work, seed ${seed}`)

    const inflicted = await hurt(world, witness, { deal: dealer(seed, only), seed, until: Date.now() + minutes * 60_000, tell })
    const healed = Date.now()
    await world.setClock(0)
    await hub.runPromise(Effect.flatMap(Activity, (activity) => activity.pause))
    const settled = await untilSettled(world, tell)
    const recoverySeconds = (Date.now() - healed) / 1000
    tell(`settled ${recoverySeconds.toFixed(1)} s after the last fault`)
    const judged = await judge(world, witness, await hub.runPromise(AppConfig))
    return {
      faults: inflicted.count,
      transactions: witness.ends.size,
      records: judged.records,
      archives: world.archives,
      seconds: (Date.now() - began) / 1000,
      recoverySeconds,
      findings: [...inflicted.failures, ...settled, ...world.instances.flatMap(({ ends }) => ends.filter(isAlarming)), ...judged.findings]
    }
  } finally {
    await hub.dispose()
    await world.close()
  }
}

/** Ends that no fault explains: a person asked for, a bug of ours. With a server away, "cannot start" (3) is right. */
const isAlarming = (end: string): boolean => !/ ended with 3:/.test(end)

const changesPerSecond = 60

const hubAtWork = (databaseUrl: string, seed: number) =>
  ManagedRuntime.make(
    Layer.effectDiscard(Effect.flatMap(Activity, (activity) => activity.pause)).pipe(
      Layer.provideMerge(Activity.layer({ seed, changesPerSecond })),
      Layer.provideMerge(Postgres.layer),
      Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl }, kafka: { brokers: "none:1" } }))
    )
  )

/** One fault after the other, with a breath in between in which things may or may not have recovered. */
const hurt = async (
  world: World.World,
  witness: Witness.Witness,
  { deal, seed, tell, until }: { readonly deal: () => Fault; readonly seed: number; readonly until: number; readonly tell: (line: string) => void }
): Promise<{ readonly count: number; readonly failures: ReadonlyArray<string> }> => {
  const random = seeded(seed, "faults")
  const failures: Array<string> = []
  let count = 0
  for (; Date.now() < until; count++) {
    const fault = deal()
    tell(`${String(count + 1).padStart(4)}  ${fault.name}`)
    await fault.inflict(world, random).catch((error: Error) => failures.push(`${fault.name}: ${error.message}`))
    await new Promise((resolve) => setTimeout(resolve, random.between(500, 4_000)))
    await witness.listen().catch(() => {}) // so that its slot keeps little WAL; what it could not hear now it hears later
  }
  return { count, failures }
}

/** Deals faults as cards, and shuffles when the last is dealt: a soak of some minutes has each of them, whatever the seed. */
export const dealer = (seed: number, only?: string): (() => Fault) => {
  const random = seeded(seed, "deck")
  const all = faults.filter(({ name }) => only === undefined || name === only)
  let deck: Array<Fault> = []
  return () => {
    if (deck.length === 0) deck = all.flatMap((fault) => Array.from({ length: fault.parts }, () => fault))
    return deck.splice(random.between(0, deck.length - 1), 1)[0]!
  }
}

/** Beyond the two minutes after which a consumer that reads nothing is made anew. */
const patienceMillis = 240_000

/** And nothing is said to be missing, because nothing is. */
const untilSettled = async (world: World.World, tell: (line: string) => void): Promise<ReadonlyArray<string>> => {
  const giveUp = Date.now() + patienceMillis
  while (Date.now() < giveUp) {
    for (const instance of world.instances) {
      const status = await instance.status()
      if (status?.settled === true) return status.capture.gaps.map(({ table, why }) => `${table} is said to have a gap: ${why}`)
    }
  }
  for (const instance of world.instances) tell(`${instance.name}: ${JSON.stringify(await instance.status())}\n${instance.said()}`)
  return [`not settled ${patienceMillis / 1000} s after the last fault`]
}

/** The witness is on the other side of faults, too. */
const untilHeard = async (witness: Witness.Witness): Promise<void> => {
  for (let attempts = 0; attempts < 20; attempts++) {
    const heard = await witness.listen().then(() => true, () => false)
    if (heard) return
  }
  throw new Error("The witness can't be heard.")
}

const judge = async (world: World.World, witness: Witness.Witness, config: AppConfig["Service"]) => {
  const findings: Array<string> = []
  const verified = await runCdc(["verify"], world.environment).catch((error: Error) => error.message)
  if (!verified.includes("no differences")) findings.push(`verify: ${verified}`)
  await Promise.all(world.instances.map((instance) => instance.stop()))
  await untilHeard(witness)

  const topics = await createTopics([world.brokers])
  const database = { query: world.query }
  const heard = []
  for (const table of config.source.tables) {
    const name = TableName.format(table)
    const topic = TopicName.ofTable(config.kafka.topicPrefix, table)
    const [foreign, records] = parted(await topics.readTopic(topic), ({ headers }) => World.foreign in headers)
    for (const pipeline of foreign.length === 0 ? [] : readersOf(table, config)) {
      findings.push(...Judge.notSetAside(pipeline, foreign, await topics.readTopic(TopicName.ofDeadLetters(topic, pipeline))))
    }
    heard.push({ name, testimony: Judge.hear(name, records) })
    findings.push(...differentRows(name, finalRows(records), await expectedRows(database, table.schema, table.table)))
  }
  const events = await topics.readTopic(TopicName.ofEvents(config.kafka.topicPrefix, tierChanged))
  findings.push(...brokenChains(events, await storedTiers(database)))
  await topics.close()
  const from = heard.find(({ testimony }) => testimony.consistentPoint !== undefined)!.testimony.consistentPoint!
  for (const { name, testimony } of heard) findings.push(...testimony.faults, ...Judge.compare(name, testimony.deeds, witness, from))
  return { findings, records: heard.reduce((sum, { testimony }) => sum + testimony.records, events.length) }
}

const parted = <A>(all: ReadonlyArray<A>, isFirst: (one: A) => boolean): readonly [ReadonlyArray<A>, ReadonlyArray<A>] =>
  [all.filter(isFirst), all.filter((one) => !isFirst(one))]

/** Names of the pipelines that read a table. */
const readersOf = (table: TableName.TableName, { pipelineSettings, pipelines }: AppConfig["Service"]): ReadonlyArray<string> =>
  pipelines.enabled.filter((name) => catalogue[name]!(pipelineSettings[name]).sources.some((source) => TableName.format(source.table) === TableName.format(table)))

const differentRows = (table: string, topic: ReadonlyMap<string, string>, rows: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const keys = new Set([...topic.keys(), ...rows.keys()])
  const different = [...keys].filter((key) => topic.get(key) !== rows.get(key))
  return different.length === 0 ? [] : [`${table}: ${different.length} keys end otherwise in the topic than in the table, such as ${different[0]}`]
}
