import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { render as renderStatus } from "../../src/cli/Status.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import * as Metrics from "../../src/observability/Metrics.ts"
import * as SystemMetrics from "../../src/run/SystemMetrics.ts"
import type { SystemReading } from "../../src/run/SystemReading.ts"
import { assemble, idleParts, type Known, recordsBehind } from "../../src/run/SystemStatus.ts"

const second = 1_000_000n
const now = 1_000_000n * second

const settings = {
  source: { slot: "hub_cdc", tables: [{ schema: "a", table: "b" }] },
  kafka: { topicPrefix: "hub" },
  pipelines: { enabled: ["p"], modes: { p: "live" } }
} as unknown as Parameters<typeof assemble>[2]

const noCapture = { snapshot: "pending", lastCommitAt: null, deadLetters: 0n, snapshotRowsPerSecond: null, snapshotNotedAt: null } as const

const reading = (changes: Partial<SystemReading> = {}): SystemReading => ({
  now,
  wal: { now, current: Lsn(1_000n), slot: { active: true, walStatus: "reserved", confirmed: Lsn(900n), restart: Lsn(400n) } },
  capture: { ...noCapture, snapshot: "done", lastCommitAt: now - 3n * second, deadLetters: 2n },
  snapshotTables: [],
  rereads: [],
  gaps: [{ table: "a.b", why: "it was taken out", remedy: "read it again" }, { table: "not.captured", why: "", remedy: "" }],
  missingEventTopics: [],
  pipelines: [{ name: "p", writes: 5n, applied: 9n, dead_letters: 1n, other_writes: 0n, last_commit_at: now - 20n * second, paused_noted_at: null, paused_why: "too much is bad", generation: 1, records_per_second: null }],
  offsets: [{ pipeline: "p", topic: "t", partition: 0, next_offset: 4n }],
  pending: new Map(),
  letters: new Map([["p", { byReason: { "not-json": 1 }, suspectRows: 1 }]]),
  ends: new Map([["t/0", { low: 0n, high: 10n }]]),
  members: new Map([["p", 1]]),
  ...changes
})

const unknown: Known = { caughtUp: false, settled: false, published: false, idleAt: new Map() }
const slot = reading().wal.slot!
const withSlot = (changes: Partial<typeof slot> | undefined): Partial<SystemReading> =>
  ({ wal: { now, current: Lsn(1_000n), slot: changes === undefined ? undefined : { ...slot, ...changes } } })

describe("the status of the system", () => {
  it("measures both lags of the slot: what is not confirmed, and what is kept", () => {
    const { capture } = assemble(reading(), unknown, settings)
    assert.deepStrictEqual(capture, {
      state: "streaming", slot: "hub_cdc", confirmedLsn: "0/384", currentLsn: "0/3E8", lagBytes: 100, retainedWalBytes: 600, lagSeconds: 3,
      deadLetters: 2,
      gaps: [{ table: "a.b", why: "it was taken out", remedy: "read it again" }],
      eventGaps: []
    })
  })

  it("names topics of events that are not there, once setup should have made them", () => {
    const missing = { missingEventTopics: ["hub.events.x"] }
    const status = assemble(reading(missing), unknown, settings)
    assert.deepStrictEqual(status.capture.eventGaps.map(({ topic }) => topic), ["hub.events.x"])
    assert.include(renderStatus(status), "gap       hub.events.x: it is not there, and events have nowhere to go; `cdc setup` makes the topic again")
    assert.deepStrictEqual(assemble(reading({ ...missing, capture: undefined }), unknown, settings).capture.eventGaps, [])
  })

  for (const [state, changes] of [
    ["notSetUp", { capture: undefined }],
    ["slotMissing", withSlot(undefined)],
    ["slotLost", withSlot({ walStatus: "lost", restart: undefined })],
    ["snapshotting", { capture: { ...noCapture, snapshot: "reading" } }],
    ["streaming", {}],
    ["stopped", withSlot({ active: false })],
    ["waiting", { ...withSlot({ active: false }), capture: noCapture }]
  ] as const) {
    it(`capture: ${state}`, () => assert.strictEqual(assemble(reading(changes), unknown, settings).capture.state, state))
  }

  it("tells how far a replay is, beside the live state; in shadow mode it is the candidate that counts", () => {
    const live = reading().pipelines[0]!
    const candidate = { ...live, name: "p@2", generation: 2, records_per_second: 3, applied: 1n }
    const both = reading({
      pipelines: [live, candidate],
      offsets: [{ pipeline: "p", topic: "t", partition: 0, next_offset: 10n }, { pipeline: "p@2", topic: "t", partition: 0, next_offset: 4n }],
      members: new Map([["p", 1], ["p@2", 1]])
    })
    const [replayed] = assemble(both, unknown, settings).pipelines
    assert.deepInclude(replayed, { mode: "live", lagRecords: 0, applied: 9, replay: { generation: 2, done: 4, of: 10, percent: 40, recordsPerSecond: 3, secondsLeft: 2 } })
    const [interrupted] = assemble({ ...both, members: new Map([["p", 1]]) }, unknown, settings).pipelines
    assert.deepInclude(interrupted!.replay, { recordsPerSecond: 0, secondsLeft: null })
    const shadow = { ...settings, pipelines: { ...settings.pipelines, modes: { p: "shadow" } } } as typeof settings
    assert.deepInclude(assemble(both, unknown, shadow).pipelines[0], { mode: "shadow", replay: null, lagRecords: 6, applied: 1, state: "lagging" })
  })

  it("is in the metrics under the pipeline's name: the lag of what it works on, and how far a replay is", async () => {
    const live = { ...reading().pipelines[0]!, name: "measured" }
    const both = reading({
      pipelines: [live, { ...live, name: "measured@2", generation: 2, records_per_second: 3 }],
      offsets: [{ pipeline: "measured", topic: "t", partition: 0, next_offset: 9n }, { pipeline: "measured@2", topic: "t", partition: 0, next_offset: 4n }],
      members: new Map([["measured", 1], ["measured@2", 1]])
    })
    const enabled = { ...settings, pipelines: { ...settings.pipelines, enabled: ["measured"], modes: { measured: "live" } } } as typeof settings
    await Effect.runPromise(SystemMetrics.record(both, assemble(both, unknown, enabled)))
    const ours = (await Effect.runPromise(Metrics.text)).split("\n").filter((line) => line.includes('pipeline="measured'))
    assert.deepStrictEqual(ours.filter((line) => /_lag_|_replay_/.test(line)).toSorted(), [
      'cdc_pipeline_lag_records{pipeline="measured",topic="t",partition="0"} 1',
      'cdc_replay_generation{pipeline="measured"} 2',
      'cdc_replay_records_done{pipeline="measured"} 4',
      'cdc_replay_records_per_second{pipeline="measured"} 3',
      'cdc_replay_records{pipeline="measured"} 10'
    ])
  })

  it("counts what a pipeline has not read, and nothing that is gone from the topic", () => {
    const offset = { pipeline: "p", topic: "t", partition: 0, next_offset: 4n }
    assert.strictEqual(recordsBehind([offset], new Map([["t/0", { low: 0n, high: 10n }]])), 6)
    assert.strictEqual(recordsBehind([offset], new Map([["t/0", { low: 7n, high: 10n }]])), 3)
    assert.strictEqual(recordsBehind([offset], new Map([["t/0", { low: 10n, high: 10n }]])), 0)
    assert.strictEqual(recordsBehind([offset], new Map([["t/0", { low: 0n, high: 3n }]])), 0) // the end was asked for earlier
    assert.strictEqual(recordsBehind([offset, { ...offset, partition: 1 }], new Map([["t/0", { low: 0n, high: 5n }], ["t/1", { low: 0n, high: 5n }]])), 2)
  })

  it("a pipeline that is 20 s behind lags; without a member it is stopped; without a row it never started", () => {
    const stateOf = (changes: Partial<SystemReading>) => assemble(reading(changes), unknown, settings).pipelines[0]!
    const paused = (secondsAgo: bigint) => stateOf({ pipelines: [{ ...reading().pipelines[0]!, paused_noted_at: now - secondsAgo * second }] })
    assert.deepInclude(paused(2n), { state: "paused", pausedWhy: "too much is bad" })
    assert.deepInclude(paused(9n), { state: "lagging", pausedWhy: null }, "nobody has said so for a while")
    assert.deepInclude(stateOf({}), { state: "lagging", lagRecords: 6, lagSeconds: 20, deadLetters: 1, openDeadLetters: { "not-json": 1 }, suspectRows: 1, applied: 9, writes: 5 })
    assert.deepInclude(stateOf({ members: new Map() }), { state: "stopped" })
    assert.deepInclude(stateOf({ pipelines: [] }), { state: "notStarted", lagSeconds: null })
    assert.deepInclude(stateOf({ offsets: [] }), { state: "running", lagRecords: 0, lagSeconds: 0 })
    assert.deepInclude(stateOf({ offsets: [], pending: new Map([["p", 2]]) }), { pending: 2, lagSeconds: 20 })
  })

  it("the first change after a quiet night is not a night old", () => {
    const known = { ...unknown, idleAt: new Map([["p", now - second / 2n]]) }
    assert.deepInclude(assemble(reading(), known, settings).pipelines[0]!, { state: "running", lagSeconds: 0.5 })
  })

  it("knows what has nothing to do", () => {
    const idle = assemble(reading({ offsets: [] }), { ...unknown, published: true }, settings)
    assert.strictEqual(idle.capture.lagSeconds, 0)
    assert.lengthOf(idleParts(idle), 2)
    assert.lengthOf(idleParts(assemble(reading(), unknown, settings)), 0)
  })
})
