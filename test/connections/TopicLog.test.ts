import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import * as TopicLog from "../../src/connections/TopicLog.ts"

interface Batch {
  readonly from: bigint
  readonly keys: ReadonlyArray<string>
  /** A batch may lack records that are compacted away, and keeps its last offset. */
  readonly last?: bigint
  readonly isMarker?: boolean
}

interface Answer {
  readonly throttleTimeMs?: number
  /** By partition; one that is not there is left out of the answer, as is what has not changed in a session. */
  readonly partitions: Readonly<Record<number, { readonly highWatermark?: bigint; readonly batches?: ReadonlyArray<Batch> }>>
}

const recordsOf = ({ from, isMarker, keys, last }: Batch) => ({
  firstOffset: from,
  firstTimestamp: 1_000n,
  lastOffsetDelta: Number((last ?? from + BigInt(keys.length) - 1n) - from),
  attributes: isMarker === true ? 0x20 : 0,
  records: keys.map((key, index) => ({ offsetDelta: index, timestampDelta: BigInt(index), key: Buffer.from(key), value: null, headers: [] }))
})

/** A topic whose partitions are led by brokers of the same number; each broker gives its answers in turn, the last again and again. */
const cluster = (options: { readonly starts: ReadonlyArray<bigint>; readonly ends: ReadonlyArray<bigint>; readonly answers: Readonly<Record<number, ReadonlyArray<Answer>>> }) => {
  const asked: Array<{ readonly node: number; readonly offsets: ReadonlyArray<bigint> }> = []
  const turns = new Map<number, number>()
  const reader = {
    metadata: async () => ({ topics: new Map([["t", { id: "T", partitions: options.ends.map((_, leader) => ({ leader: Number(leader % 2) })) }]]) }),
    listOffsets: async ({ timestamp }: { readonly timestamp: bigint }) => new Map([["t", [...timestamp === -2n ? options.starts : options.ends]]]),
    fetch: async ({ node, topics }: { readonly node: number; readonly topics: ReadonlyArray<{ readonly partitions: ReadonlyArray<{ readonly fetchOffset: bigint }> }> }) => {
      asked.push({ node, offsets: topics.flatMap(({ partitions }) => partitions.map(({ fetchOffset }) => fetchOffset)) })
      const turn = turns.get(node) ?? 0
      turns.set(node, turn + 1)
      const answer = options.answers[node]![Math.min(turn, options.answers[node]!.length - 1)]!
      return {
        throttleTimeMs: answer.throttleTimeMs ?? 0,
        responses: [{
          topicId: "T",
          partitions: Object.entries(answer.partitions).map(([partition, { batches = [], highWatermark }]) =>
            ({ partitionIndex: Number(partition), highWatermark: highWatermark ?? options.ends[Number(partition)], records: batches.map(recordsOf) }))
        }]
      }
    }
  } as unknown as TopicLog.Reader
  return { asked, reader }
}

const readAll = async (reader: TopicLog.Reader) => {
  const seen: Array<string> = []
  const exit = await Effect.runPromiseExit(Effect.gen(function*() {
    const log = yield* TopicLog.read(reader, "t")
    yield* log.toEnd((records) => Effect.sync(() => void seen.push(...records.map(({ key, offset, partition }) => `${partition}:${offset} ${key}`))))
  }))
  return { exit, seen }
}

const read = async (options: Parameters<typeof cluster>[0]) => {
  const { asked, reader } = cluster(options)
  const { exit, seen } = await readAll(reader)
  expect(Exit.isSuccess(exit)).toBe(true)
  return { asked, seen }
}

describe("a topic is read to its end", () => {
  it("from each leader, from where it begins, over markers and without what a whole batch has of before", async () => {
    const { asked, seen } = await read({
      starts: [5n, 0n], ends: [9n, 2n],
      answers: {
        0: [{ partitions: { 0: { batches: [{ from: 3n, keys: ["a", "b", "c", "d"] }, { from: 7n, keys: ["x"], isMarker: true }] } } }, { partitions: { 0: { batches: [{ from: 8n, keys: ["e"] }] } } }],
        1: [{ partitions: { 1: { batches: [{ from: 0n, keys: ["f", "g"] }] } } }]
      }
    })
    expect(seen.toSorted()).toEqual(["0:5 c", "0:6 d", "0:8 e", "1:0 f", "1:1 g"])
    expect(asked).toEqual([{ node: 0, offsets: [5n] }, { node: 1, offsets: [0n] }, { node: 0, offsets: [8n] }])
  })

  it("though an answer is full of another partition's records: its turn comes", async () => {
    const { asked, seen } = await read({
      starts: [0n, 0n, 0n], ends: [1n, 0n, 1n],
      answers: { 0: [{ partitions: { 0: { batches: [{ from: 0n, keys: ["a"] }] }, 2: {} } }, { partitions: { 2: { batches: [{ from: 0n, keys: ["b"] }] } } }] }
    })
    expect(seen).toEqual(["0:0 a", "2:0 b"])
    expect(asked.map(({ offsets }) => offsets)).toEqual([[0n, 0n], [0n]])
  })

  it("also where that is compacted away, within a batch or behind the last", async () => {
    const { seen } = await read({
      starts: [0n], ends: [9n],
      answers: { 0: [{ partitions: { 0: { batches: [{ from: 0n, keys: ["a"], last: 4n }] } } }, { partitions: { 0: {} } }] }
    })
    expect(seen).toEqual(["0:0 a"])
  })

  it("by who is over his quota: an empty answer then says nothing", async () => {
    const throttled: Answer = { throttleTimeMs: 1, partitions: { 0: {} } }
    const { seen } = await read({
      starts: [0n], ends: [1n],
      answers: { 0: [...Array.from({ length: 60 }, () => throttled), { partitions: { 0: { batches: [{ from: 0n, keys: ["a"] }] } } }] }
    })
    expect(seen).toEqual(["0:0 a"])
  })

  it("by who is answered too soon by a broker that reads from afar", async () => {
    const { seen } = await read({
      starts: [0n], ends: [1n],
      answers: { 0: [{ partitions: { 0: {} } }, { partitions: {} }, { partitions: { 0: { batches: [{ from: 0n, keys: ["a"] }] } } }] }
    })
    expect(seen).toEqual(["0:0 a"])
  })

  it("but never past what a new leader does not show yet", async () => {
    const { seen } = await read({
      starts: [0n], ends: [2n],
      answers: { 0: [{ partitions: { 0: { highWatermark: 1n } } }, { partitions: { 0: { batches: [{ from: 0n, keys: ["a", "b"] }] } } }] }
    })
    expect(seen).toEqual(["0:0 a", "0:1 b"])
    const { reader } = cluster({ starts: [0n], ends: [2n], answers: { 0: [{ partitions: { 0: { highWatermark: 1n } } }] } })
    await expect(TopicLog.fetch(reader, [{ topic: "t", partition: 0, offset: 0n, end: 2n }])).rejects.toMatchObject({ reason: "unreachable", isRetryable: true })
  })
})
