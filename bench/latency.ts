/**
 * How long a change takes: commit → topic and commit → aggregate, while signals come at a steady rate, one per transaction.
 *
 *   DATABASE_URL=postgres://… KAFKA_BROKERS=host:port npm run bench -- bench/latency.ts [signals per second] [seconds]
 *
 * Commit times are Postgres' own (`source.ts_us`); a record's arrival is this process' clock, of the same machine. The nth signal
 * of an outreach has become its score with the first score that counts n signals.
 */
import kafkajs from "kafkajs"
import pg from "pg"
import { start, type System } from "./System.ts"

const rate = Number(process.argv[2] ?? 100)
const seconds = Number(process.argv[3] ?? 20)
const sessions = 8

interface Envelope {
  readonly op: string
  readonly after: { readonly outreach_id: string; readonly signal_count: number } | null
  readonly source: { readonly ts_us: number }
}

const main = async () => {
  const system = await start(2_000)
  try {
    await system.until(({ settled }) => settled)
    const before = await counts(system)
    const seen = await watch(system, before)
    await insertAtRate(system, [...before.keys()])
    await system.until(({ settled }) => settled)
    await seen.complete(rate * seconds)
    report("commit → topic", seen.topic)
    report("commit → aggregate", seen.aggregate)
    const { residentBytes } = await system.usage()
    console.log(`resident memory of the whole cdc process: ${Math.round(residentBytes / 1e6)} MB`)
    await seen.close()
  } finally {
    await system.close()
  }
}

/** Outreaches with their number of signals, 0 included. */
const counts = async ({ hub }: System): Promise<Map<string, number>> => {
  const { rows } = await hub.query<{ outreach_id: string; count: number }>(
    `select o.outreach_id, count(s.signal_id)::int as count from outreach.outreach o left join outreach.bit_signals s using (outreach_id) group by 1`
  )
  return new Map(rows.map((row) => [row.outreach_id, row.count]))
}

/** Reads both topics from now on. */
const watch = async (system: System, before: ReadonlyMap<string, number>) => {
  const topic: Array<number> = []
  const aggregate: Array<number> = []
  const commits = new Map<string, number>() // `outreach n` → when its nth signal committed, µs
  const scores = new Map<string, Array<{ count: number; at: number }>>()
  const next = new Map(before)
  const done = Promise.withResolvers<void>()
  let expected = Infinity
  const signals = `${system.topicPrefix}.outreach.bit_signals`
  const kafka = new kafkajs.Kafka({ clientId: "bench", brokers: [...system.brokers], logLevel: kafkajs.logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `${system.topicPrefix}.bench`, maxWaitTimeInMs: 20 })
  const joined = Promise.withResolvers<void>()
  consumer.on("consumer.group_join", () => joined.resolve())
  await consumer.connect()
  await consumer.subscribe({ topics: [signals, `${system.topicPrefix}.outreach.bit_scores`], fromBeginning: false })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 12,
    eachBatch: async ({ batch }) => {
      const now = (performance.timeOrigin + performance.now()) * 1000
      for (const { value } of batch.messages) {
        if (value === null) continue
        const { after, op, source } = JSON.parse(value.toString()) as Envelope
        if (after === null || op === "r") continue
        if (batch.topic === signals) {
          const n = next.get(after.outreach_id)! + 1
          next.set(after.outreach_id, n)
          commits.set(`${after.outreach_id} ${n}`, source.ts_us)
          topic.push((now - source.ts_us) / 1000)
        } else {
          const ofOutreach = scores.get(after.outreach_id) ?? []
          scores.set(after.outreach_id, ofOutreach)
          ofOutreach.push({ count: after.signal_count, at: source.ts_us })
        }
      }
      if (topic.length >= expected) done.resolve()
    }
  })
  await joined.promise
  return {
    topic,
    aggregate,
    complete: async (count: number) => {
      expected = count
      if (topic.length < expected) await done.promise
      for (const [id, committed] of commits) {
        const [outreach, n] = id.split(" ") as [string, string]
        const first = scores.get(outreach)?.find(({ count }) => count >= Number(n))
        if (first !== undefined) aggregate.push((first.at - committed) / 1000)
      }
    },
    close: () => consumer.disconnect()
  }
}

/** One insert per transaction, spread over some sessions, every outreach in turn. */
const insertAtRate = async (system: System, outreaches: ReadonlyArray<string>) => {
  const pools = await Promise.all(Array.from({ length: sessions }, () => newSession(system)))
  const started = performance.now()
  await Promise.all(pools.map(async (session, index) => {
    for (let n = index; n < rate * seconds; n += sessions) {
      const wait = started + (n / rate) * 1000 - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      await session.query(
        `insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id) values ($1, 'bench', 5, 'people', gen_random_uuid())`,
        [outreaches[n % outreaches.length]]
      )
    }
    await session.end()
  }))
  console.log(`${rate * seconds} signals in ${((performance.now() - started) / 1000).toFixed(1)} s, one per transaction`)
}

const newSession = async ({ databaseUrl }: System) => {
  const session = new pg.Client({ connectionString: databaseUrl })
  await session.connect()
  return session
}

const report = (name: string, millis: Array<number>) => {
  const sorted = millis.toSorted((a, b) => a - b)
  const at = (quantile: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]?.toFixed(1)
  console.log(`${name.padEnd(20)} n ${sorted.length}  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(1)} ms`)
}

await main()
