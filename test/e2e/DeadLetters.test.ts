import { Effect, Layer, ManagedRuntime } from "effect"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { deadLetter } from "../../src/domain/Headers.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { campaign, event, outreach, send, signal } from "../materialize/SmallHub.ts"
import { type CdcProcess, freePort, runCdc, startCdc, type Status, waitForStatus } from "../support/CdcProcess.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"
import { type BadInput, badInputs, envelope, type Source } from "./BadInput.ts"

const hub = ManagedRuntime.make(Postgres.layer.pipe(
  Layer.provideMerge(TestConfig.layer()),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
))
const pipelines = Object.keys(catalogue)
const query = <Row extends object>(statement: string, parameters: ReadonlyArray<unknown> = []) =>
  hub.runPromise(Effect.flatMap(Postgres, (postgres) => postgres.query<Row>("Testing", statement, parameters)))

/** The topics whose rows contribute, and the pipelines that read them. */
const sources: Readonly<Record<string, Source & { readonly readers: ReadonlyArray<string>; readonly id: (n: number) => unknown }>> = {
  "outreach.bit_signals": {
    key: "signal_id", text: "source_spoke", id: signal, readers: ["bit-scores", "legacy-mirrors"],
    row: { outreach_id: outreach(1), signal_type: "t", signal_impact: "1", source_spoke: "dol", decay_period_days: 9, signal_timestamp: "2026-01-01T00:00:00Z", correlation_id: null }
  },
  "outreach.send_log": {
    key: "send_id", text: "email_to", id: send, readers: ["campaign-totals"],
    row: { campaign_id: campaign(1), person_id: null, email_to: "ann@example.com", sent_at: null, opened_at: null, clicked_at: null, replied_at: null }
  },
  "outreach.engagement_events": {
    key: "event_id", text: "event_type", id: event, readers: ["legacy-mirrors"],
    row: { person_id: null, outreach_id: null, company_unique_id: null, event_type: "t", event_ts: "2026-01-01T00:00:00Z", source_system: null, source_campaign_id: null, is_duplicate: null }
  },
  "outreach_ctx.spend_log": {
    key: "id", text: "tool_name", id: (n) => 1_000_000 + n, readers: ["context-spend"],
    row: { outreach_context_id: "c", tool_name: "clay", cost_credits: "1" }
  }
}

/** Rows that Postgres takes and the definitions do not; per table: column values, and per pipeline the reason. */
const badRows: ReadonlyArray<readonly [table: string, columns: string, values: string, reasons: Readonly<Record<string, string>>]> = [
  ...[
    ["'NaN', 90, now()", { "bit-scores": "impact-not-finite", "legacy-mirrors": "impact-not-finite" }],
    ["'-Infinity', 90, now()", { "bit-scores": "impact-not-finite", "legacy-mirrors": "impact-not-finite" }],
    ["1e10, 90, now()", { "legacy-mirrors": "impact-beyond-integer" }],
    ["5, 0, now()", { "bit-scores": "decay-not-positive" }],
    ["5, -3, now()", { "bit-scores": "decay-not-positive" }],
    ["5, 90, '280000-01-01'", { "bit-scores": "timestamp-not-readable", "legacy-mirrors": "timestamp-not-readable" }]
  ].map(([values, reasons]) => ["outreach.bit_signals", "outreach_id, signal_type, source_spoke, correlation_id, signal_impact, decay_period_days, signal_timestamp",
    `'${outreach(1)}', 't', 'dol', gen_random_uuid(), ${values as string}`, reasons as Record<string, string>] as const),
  ["outreach.engagement_events", "event_type, event_ts", "'email_open', '280000-01-01'", { "legacy-mirrors": "timestamp-not-readable" }],
  ["outreach_ctx.spend_log", "outreach_context_id, tool_name, cost_credits", "'c', 'clay', 'Infinity'", { "context-spend": "credits-not-finite" }],
  ["outreach_ctx.spend_log", "outreach_context_id, tool_name, cost_credits", "'c', repeat('x', 601), 1", { "context-spend": "key-too-long" }]
]

describe("dead letters, through the command line", () => {
  let environment: Record<string, string>
  let topics: TestTopics["Service"]
  let port: number
  const later = laterVersion()
  let cdc: CdcProcess | undefined
  /** Open letters by pipeline and reason, as they must be. */
  const expected: Record<string, Record<string, number>> = Object.fromEntries(pipelines.map((name) => [name, {}]))
  const expectMore = (pipeline: string, reason: string, n = 1) => expected[pipeline]![reason] = (expected[pipeline]![reason] ?? 0) + n

  beforeAll(async () => {
    topics = await hub.runPromise(TestTopics)
    port = await freePort()
    environment = {
      ...TestConfig.environment(await hub.runPromise(TestDatabase), topics), PORT: String(port), LOG_LEVEL: "warn", CDC_LOG_FORMAT: "json",
      CDC_PIPELINES_ENABLED: pipelines.join(",")
    }
    await hub.runPromise(prepare({ companies: 5, seed: 5 }))
    await query("insert into outreach.outreach (outreach_id, sovereign_id) select $1, company_unique_id from cl.company_identity limit 1", [outreach(1)])
    await query("insert into outreach.campaigns (campaign_id, campaign_name) values ($1, 'A campaign')", [campaign(1)])
    await query("insert into outreach_ctx.context (outreach_context_id) values ('c')")
    await runCdc(["setup"], environment)
  })

  afterAll(async () => {
    await cdc?.kill()
    rmSync(later, { recursive: true, force: true })
    await hub.dispose()
  })

  /** Leaves the consumer group, so that the next one need not wait for it to be missed. */
  const stop = () => {
    cdc!.child.kill("SIGTERM")
    return cdc!.ended
  }
  const atRest = (status: Status) => status.pipelines.every(({ lagRecords, state }) => lagRecords === 0 && state !== "notStarted")
  const openOf = ({ pipelines }: Status) => Object.fromEntries(pipelines.map(({ name, openDeadLetters }) => [name, openDeadLetters]))
  const produce = async (topic: string, records: ReadonlyArray<Pick<BadInput, "key" | "value">>) => {
    const producer = topics.client.producer()
    await producer.connect()
    const sent = await producer.send({ topic: `${topics.prefix}.${topic}`, messages: records.map((record) => ({ ...record, partition: 0, headers: { trace: "kept" } })) })
    await producer.disconnect()
    return Number(sent[0]!.baseOffset)
  }
  const score = async () => (await query<{ score: string; signal_count: number }>("select score, signal_count from outreach.bit_scores where outreach_id = $1", [outreach(1)]))[0]

  it("bad rows of the hub: each is set aside with its reason, alone, and what mends it resolves it", async () => {
    for (const [table, columns, values, reasons] of badRows) {
      await query(`insert into ${table} (${columns}) values (${values})`)
      for (const [pipeline, reason] of Object.entries(reasons)) expectMore(pipeline, reason)
    }
    cdc = startCdc(["run"], environment)
    const status = await waitForStatus(cdc, port, ({ settled }) => settled)
    expect(openOf(status)).toEqual(expected)
    expect(status.pipelines.map(({ suspectRows }) => suspectRows)).toEqual([0, 0, 1, 0]) // the one that no index could hold
    expect(await score()).toEqual({ score: "100.00", signal_count: 1 }) // of 1e10

    await query("update outreach.bit_signals set signal_impact = 20 where signal_impact = '-Infinity'")
    for (const name of ["bit-scores", "legacy-mirrors"]) expectMore(name, "impact-not-finite", -1)
    expect(openOf(await waitForStatus(cdc, port, ({ settled }) => settled))).toEqual(expected)
    expect((await score())?.signal_count).toBe(2)
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    for (const line of [
      `cdc_dead_letters_total{pipeline="bit-scores",reason="impact-not-finite"} 2`, `cdc_dead_letters_open{pipeline="bit-scores",reason="impact-not-finite"} 1`,
      `cdc_suspect_rows{pipeline="context-spend"} 1`
    ]) expect(metrics).toContain(line)
    await stop()
  }, 120_000)

  it("records that are no changes: unchanged on the dead letters' topics, with where from and why, and nothing waits for them", async () => {
    const sent: Array<BadInput & { readonly topic: string; readonly offset: number; readonly readers: ReadonlyArray<string> }> = []
    for (const [topic, source] of Object.entries(sources)) {
      const records = badInputs(source, (n) => source.id(n + 500))
      const first = await produce(topic, records)
      records.forEach((record, n) => sent.push({ ...record, topic, offset: first + n, readers: source.readers }))
      for (const { reason } of records) for (const reader of source.readers) expectMore(reader, reason)
      await produce(topic, [goodRecord(topic, 900)])
    }
    cdc = startCdc(["pipeline", ...pipelines], environment)
    const status = await waitForStatus(cdc, port, atRest)
    expect(openOf(status)).toEqual(expected)
    expect((await score())?.signal_count).toBe(3)

    const letters = new Map<string, ReadonlyMap<string, Awaited<ReturnType<typeof topics.readTopic>>[number]>>()
    for (const [topic, { readers }] of Object.entries(sources)) {
      for (const reader of readers) {
        const records = await topics.readTopic(`${topics.prefix}.${topic}.${reader}.dlq`)
        letters.set(`${topic} ${reader}`, new Map(records.map((letter) => [letter.headers[deadLetter.offset]! + letter.headers[deadLetter.partition]!, letter])))
      }
    }
    for (const { key, offset, readers, reason, topic, value, what } of sent) {
      for (const reader of readers) {
        const letter = letters.get(`${topic} ${reader}`)!.get(`${offset}0`)!
        expect(letter, `${topic} ${reader}: ${what}`).toBeDefined()
        expect(letter.key).toEqual(key)
        const isTooLarge = value.length > 800_000
        expect(letter.value?.equals(value) ?? letter.value, `${reader}: ${what}`).toBe(isTooLarge ? null : true)
        expect(letter.headers).toMatchObject({
          trace: "kept", [deadLetter.topic]: `${topics.prefix}.${topic}`, [deadLetter.connectorName]: reader, [deadLetter.stage]: "PIPELINE", [deadLetter.exceptionClass]: reason,
          ...isTooLarge ? { [deadLetter.droppedValueBytes]: String(value.length) } : {}
        })
        expect(letter.headers[deadLetter.exceptionMessage]).toMatch(/\w/)
      }
    }
    const listed = JSON.parse(await runCdc(["dead-letters", "list", "--json", "--limit", "1"], environment)) as { counts: ReadonlyArray<{ pipeline: string; reason: string; open: number }> }
    for (const { open, pipeline, reason } of listed.counts) expect(open, `${pipeline} ${reason}`).toBe(expected[pipeline]![reason])
    expect(status.pipelines.find(({ name }) => name === "campaign-totals")!.suspectRows).toBeGreaterThan(10)
    expect(await runCdc(["dead-letters", "list", "--pipeline", "bit-scores", "--reason", "unreadable-row"], environment)).toMatch(/open, suspect/)
  }, 120_000)

  it("are retried by the version that can read them, beside the pipelines that run, once", async () => {
    const inVain = startCdc(["dead-letters", "retry", "bit-scores", "--reason", "decay-not-positive"], environment)
    expect(await inVain.ended).toBe(1)
    expect(inVain.said()).toMatch(/0 applied[^]*2 still open, decay-not-positive/)

    const retries = [1, 2].map(() => startCdc(["dead-letters", "retry", "bit-scores", "--reason", "decay-not-positive", "--json"], environment, join(later, "src/main.ts")))
    expect(await Promise.all(retries.map(({ ended }) => ended))).toEqual([0, 0])
    expect(retries.map((retry) => (JSON.parse(retry.said()) as { applied: number }).applied).reduce((a, b) => a + b)).toBe(2)
    expectMore("bit-scores", "decay-not-positive", -2)
    delete expected["bit-scores"]!["decay-not-positive"]
    expect((await score())?.signal_count).toBe(5)
    expect(openOf(await waitForStatus(cdc!, port, atRest))).toEqual(expected)
    await stop()
  }, 60_000)

  it("a bad deploy pauses its pipeline before anything is moved; accepting, or a version that can read them, lets it go on", async () => {
    const strict = { ...environment, CDC_PIPELINES_DEAD_LETTER_BREAKER_MORE_THAN: "5" }
    const bad = (from: number) => Array.from({ length: 20 }, (_, n) => goodRecord("outreach_ctx.spend_log", from + n, { cost_credits: "NaN" }))
    const pausedAt = (status: Status) => status.pipelines.some(({ name, state }) => name === "context-spend" && state === "paused")
    const ready = () => fetch(`http://127.0.0.1:${port}/readyz`)
    await produce("outreach_ctx.spend_log", bad(2_000))
    cdc = startCdc(["pipeline", ...pipelines], strict)
    const paused = await waitForStatus(cdc, port, pausedAt)
    expect(paused.pipelines.filter(({ state }) => state === "running").map(({ name }) => name)).toEqual(pipelines.filter((name) => name !== "context-spend"))
    expect(openOf(paused)).toEqual(expected)
    expect((await ready()).status).toBe(503)
    expect(await (await ready()).text()).toMatch(/context-spend is paused: \d+ of the last \d+ records can't be used .*credits-not-finite/)

    await runCdc(["dead-letters", "accept", "context-spend"], environment)
    expectMore("context-spend", "credits-not-finite", 20)
    const resumed = await waitForStatus(cdc, port, (status) => atRest(status) && !pausedAt(status))
    expect(openOf(resumed)).toEqual(expected)
    expect((await ready()).status).toBe(200)

    await produce("outreach_ctx.spend_log", bad(3_000))
    await waitForStatus(cdc, port, pausedAt)
    await stop()
    cdc = startCdc(["pipeline", ...pipelines], strict, join(later, "src/main.ts"))
    expect(openOf(await waitForStatus(cdc, port, (status) => atRest(status) && !pausedAt(status)))).toEqual(expected)
    expect(await query("select attempts from reporting.context_spend where outreach_context_id = 'c' and tool_name = 'clay'")).toEqual([{ attempts: 21 }])
  }, 120_000)
})

const goodRecord = (topic: string, n: number, over: object = {}): Pick<BadInput, "key" | "value"> => {
  const { id, key, row } = sources[topic]!
  return { key: Buffer.from(JSON.stringify({ [key]: id(n) })), value: Buffer.from(JSON.stringify(envelope({ ...row, [key]: id(n), ...over }))) }
}

/** This program with two of its rules changed, as a later version might have them: no decay is one day, and no credits are none. */
function laterVersion(): string {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const copy = mkdtempSync(join(tmpdir(), "cdc-later-"))
  for (const part of ["src", "pipelines", "config", "package.json"]) cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
  change(join(copy, "pipelines/bit-scores/BitScores.ts"), /if \(row\.decay_period_days <= 0\).*\n/, "")
  change(join(copy, "pipelines/bit-scores/BitScores.ts"), "days: row.decay_period_days", "days: Math.max(1, row.decay_period_days)")
  change(join(copy, "pipelines/context-spend/ContextSpend.ts"), "const credits = parseScaled(row.cost_credits ?? \"0\", creditScale)", "const credits = parseScaled(row.cost_credits ?? \"0\", creditScale) ?? 0n")
  return copy
}

function change(file: string, from: string | RegExp, to: string): void {
  const before = readFileSync(file, "utf8")
  const after = before.replace(from, to)
  if (after === before) throw new Error(`${file} does not have what is to be changed`)
  writeFileSync(file, after)
}
