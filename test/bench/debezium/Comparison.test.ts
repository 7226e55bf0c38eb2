import { describe, expect, it } from "vitest"
import { comparePartition, type Finding, readsReordered, swept, truncate, truncateOrdinals, type Writes } from "../../../bench/debezium/Comparison.ts"
import { type Event, read } from "../../../bench/debezium/Event.ts"
import { isObject, type Json, NumberText } from "../../../bench/debezium/Json.ts"
import { rules } from "../../../bench/debezium/Rules.ts"
import { ours, pairs, table, theirs, tombstone } from "./Events.ts"

const none = new Map<string, ReadonlySet<number>>()
const quiet: Writes = { table, truncates: 0, ordinals: { ofTable: none, ofAll: none } }
const left = pairs.map(([event]) => event)
const right = pairs.map(([, event]) => event)
const findings = (ours: ReadonlyArray<Event>, writes = quiet): ReadonlyArray<Finding> => comparePartition(writes, left, ours).findings

/** Each single change that can be made to a JSON value: a place removed, put beside, or given another value or type. */
function* mutations(json: Json, path: ReadonlyArray<string> = []): Iterable<{ readonly path: string; readonly how: "value" | "type" | "gone" | "more"; readonly json: Json | undefined }> {
  const place = path.join(".")
  if (path.length > 0) yield { path: place, how: "gone", json: undefined }
  yield { path: place, how: "type", json: Array.isArray(json) ? "text" : [json] }
  if (json === null) yield { path: place, how: "value", json: "text" }
  else if (typeof json === "string") yield { path: place, how: "value", json: `${json}x` }
  else if (typeof json === "boolean") yield { path: place, how: "value", json: !json }
  else if (json instanceof NumberText) yield { path: place, how: "value", json: new NumberText(json.text.startsWith("-") ? "1" : `-${json.text}1`) }
  else if (Array.isArray(json)) {
    yield { path: place, how: "more", json: [...json, null] }
    for (const [index, element] of (json as ReadonlyArray<Json>).entries()) {
      for (const mutation of mutations(element, [...path, String(index)])) {
        yield { ...mutation, json: mutation.json === undefined ? json.toSpliced(index, 1) : json.with(index, mutation.json) }
      }
    }
  } else if (isObject(json)) {
    yield { path: place, how: "more", json: { ...json, unheard: null } }
    yield* mutationsOfFields(json, path)
  }
}

function* mutationsOfFields(json: { readonly [name: string]: Json }, path: ReadonlyArray<string>): ReturnType<typeof mutations> extends Iterable<infer M> ? Iterable<M> : never {
  for (const name of Object.keys(json)) {
    for (const mutation of mutations(json[name]!, [...path, name])) {
      const { [name]: _, ...others } = json
      yield { ...mutation, json: mutation.json === undefined ? others : Object.fromEntries(Object.entries(json).map(([field, value]) => [field, field === name ? mutation.json! : value])) }
    }
  }
}

/** Where one value of the right type is as good as another. */
const free = (path: string, event: Event): boolean => {
  const isRead = isObject(event.value) && event.value.op === "r"
  const paths = [
    /^value\.source\.(version|name|lsn|epoch)$/, /^value\.ts_(ms|us|ns)$/, /^headers\.__cdc\.position$/, /^value\.(before|after)\.span$/,
    ...isRead ? [/^value\.source\.ts_(ms|us|ns)$/, /^value\.transaction\.(id|total_order|data_collection_order)$/] : []
  ]
  return paths.some((free) => free.test(path))
}

describe("a comparison with Debezium", () => {
  it("finds nothing where all that differs is so on purpose, and counts why", () => {
    const { events, findings, used } = comparePartition(quiet, left, right)
    expect(findings).toEqual([])
    expect(events).toBe(pairs.length)
    expect(Object.fromEntries(used)).toMatchObject({
      "source.epoch: ours alone": 5,
      "headers __debezium.context.*: theirs alone": 24,
      "header __cdc.position of a tombstone: ours alone": 1,
      "before of the identity's columns: NOT NULL ones beside them invented; null": 1,
      "type without a mapping: absent; Postgres' text": 5,
      "number: another spelling of the same": 1
    })
  })

  it.for([...right.entries()])("finds every single change that could be made to event %i of ours", ([index, event]) => {
    const unseen: Array<string> = []
    let seen = 0
    for (const { how, json, path } of mutations(event as unknown as Json)) {
      if (path === "" || ["key", "headers", "value"].includes(path) && how === "gone") continue
      if (how === "value" && free(path, event)) continue
      if (findings(right.with(index, json as unknown as Event)).length > 0) seen++
      else unseen.push(`${path}: ${how}`)
    }
    expect(unseen).toEqual([])
    expect(seen).toBeGreaterThan(3)
  })

  it("finds fields in another order", () => {
    const { after, ...others } = right[1]!.value as { readonly [name: string]: Json }
    expect(findings(right.with(1, { ...right[1]!, value: { ...others, after: after! } }))).toMatchObject([{ path: ["value", "(order of fields)"] }])
  })

  it("finds an event that is missing, one too many, and two that changed places, and goes on after it", () => {
    expect(findings(right.toSpliced(2, 1))).toMatchObject([{ what: "missing", index: 2 }])
    expect(findings(right.toSpliced(2, 0, right[1]!))).toMatchObject([{ what: "unexpected", index: 2 }])
    expect(findings([right[0]!, right[2]!, right[1]!, ...right.slice(3)])).toHaveLength(2)
    expect(findings([])).toHaveLength(pairs.length)
  })

  it("lets the reads of a snapshot come in any order, and nothing else", () => {
    const read = (id: string) => ({ key: `{"id":${id}}`, op: "r", before: null, after: { id: `#${id}` } })
    const withSpan = (id: string) => ours({ ...read(id), after: { id: `#${id}`, span: null } })
    const { findings, used } = comparePartition(quiet, ["1", "2", "3"].map((id) => theirs(read(id))), ["3", "1", "2"].map(withSpan))
    expect(findings).toEqual([])
    expect(used.get(readsReordered)).toBe(1)
  })
})

describe("a TRUNCATE", () => {
  const truncated = ours({ key: `{"__cdc_truncate":"zoo.t"}`, op: "t", before: null, after: null, order: 2 })
  const insert = { key: `{"id":1}`, op: "c", before: null, after: { id: "#1" } }
  const after = (order: number, tableOrder: number) => ours({ ...insert, after: { id: "#1", span: null }, order, tableOrder })
  const ordinals = truncateOrdinals([truncated])
  const ofThis: Writes = { table, truncates: 1, ordinals: { ofTable: ordinals, ofAll: ordinals } }
  const ofAnother: Writes = { table, truncates: 0, ordinals: { ofTable: none, ofAll: ordinals } }
  const inserted = [theirs({ ...insert, order: 2 })]

  it("is one in every partition, and counts in its transaction", () => {
    const compared = comparePartition(ofThis, inserted, [truncated, after(3, 2)])
    expect(compared.findings).toEqual([])
    expect(compared.used.get(truncate)).toBe(1)
  })

  it("of another table counts in the transaction, and not for this one", () => {
    expect(comparePartition(ofAnother, inserted, [after(3, 1)]).findings).toEqual([])
    expect(comparePartition(ofAnother, inserted, [after(3, 2)]).findings).toHaveLength(1)
    expect(comparePartition(ofAnother, inserted, [after(2, 1)]).findings).toHaveLength(1)
  })

  it("that is missing, or has come twice, or that does not count is found", () => {
    const counted = after(3, 2)
    for (const events of [[counted], [truncated, truncated, counted], [truncated, after(2, 2)], [truncated, after(3, 1)], [truncated, after(4, 2)]]) {
      expect(comparePartition(ofThis, inserted, events).findings).not.toEqual([])
    }
  })

  it("may be followed by marked deletes of its rows, and only a TRUNCATE may", () => {
    const marked = ours({ key: `{"id":7}`, op: "d", before: { id: "#7" }, after: null, xid: "0" })
    const value = marked.value as { readonly [name: string]: Json }
    const sweep = [{ ...marked, value: { ...value, source: { ...value.source as object, synthetic: true } } }, tombstone(`{"id":7}`, [["__cdc.position", "1:1:1"]])]
    const { findings, used } = comparePartition(ofThis, [], [truncated, ...sweep])
    expect(findings).toEqual([])
    expect(used.get(swept)).toBe(2)
    expect(comparePartition(quiet, [], sweep).findings).toHaveLength(2)
    expect(comparePartition(ofThis, [], [truncated, marked, sweep[1]!]).findings).toHaveLength(2)
  })
})

describe("the header of a changed key", () => {
  const compare = (left: string, right: string) => {
    const change = { key: `{"id":2}`, op: "c", before: null }
    return comparePartition(quiet, [theirs({ ...change, after: { id: "#2" }, headers: [["__debezium.oldkey", left]] })],
      [ours({ ...change, after: { id: "#2", span: null }, headers: [["__debezium.oldkey", right]] })]).findings.length
  }

  it("may have control characters escaped, and nothing else", () => {
    expect(compare(`{"k":"a\tb\u001f \\\\n"}`, String.raw`{"k":"a\tb\u001f \\n"}`)).toBe(0)
    expect(compare(`{"k":"a\tb"}`, String.raw`{"k":"a\nb"}`)).toBe(1)
    expect(compare(`{"k":"🎉"}`, String.raw`{"k":"\uD83C\uDF89"}`)).toBe(1)
    expect(compare(`{"k":"a"}`, `{"k":"b"}`)).toBe(1)
  })
})

describe("what Debezium gets wrong", () => {
  const compare = (type: string, left: Json, right: Json, op = "c") => {
    const typed: Writes = { ...quiet, table: { ...table, columns: [...table.columns.slice(0, 1), { name: "v", type, isRequired: false, isGenerated: false }] } }
    const event = { key: `{"id":1}`, op, before: null }
    const with_ = (event: Event, v: Json) => {
      const value = event.value as { readonly [name: string]: Json }
      return { ...event, value: { ...value, after: { id: new NumberText("1"), v } } }
    }
    return comparePartition(typed, [with_(theirs({ ...event, after: {} }), left)], [with_(ours({ ...event, after: {} }), right)]).findings.length
  }
  const n = (text: string) => new NumberText(text)

  it.for<readonly [string, Json, Json, string?]>([
    ["name", null, "some_name"],
    ["bit(4)[]", null, ["Cg=="]],
    ["zoo.mood[]", null, ["sad", null]],
    ["integer[]", [null, null], [[n("1")], [n("2")]]],
    ["time with time zone[]", ["11:51:30Z"], ["11:51:30.123789Z"]],
    ["numeric(3,-2)", "12300.0000", "12300"],
    ["date", n("-141422"), n("-141432"), "r"],
    ["date", n("-622191234"), n("-2147472692"), "r"],
    ["numeric[]", null, ["NaN"]],
    ["timestamp without time zone", n("9223372036854775807"), "294276-12-31 23:59:59"]
  ])("%s is known", ([type, left, right, op]) => {
    expect(compare(type, left, right, op)).toBe(0)
    expect(compare("text", left, right, op), "of another type").toBeGreaterThan(0)
    expect(compare(type, right, left, op), "the other way round").toBeGreaterThan(0)
  })

  it.for<readonly [string, Json, Json, string?]>([
    ["name", null, "some_name", "r"],
    ["zoo.mood[]", null, ["sad"]],
    ["integer[]", [n("1")], [n("2")]],
    ["time with time zone[]", ["11:51:31Z"], ["11:51:30.123789Z"]],
    ["numeric(3,-2)", "12300.0001", "12300"],
    ["date", n("-141422"), n("-141432")],
    ["date", n("19782"), n("19783"), "r"],
    ["numeric[]", null, ["1"]],
    ["timestamp without time zone", n("9223372036854775807"), "2024-12-31 23:59:59"]
  ])("%s does not hide what else may be wrong", ([type, left, right, op]) => {
    expect(compare(type, left, right, op)).toBe(1)
  })
})

describe("numbers", () => {
  const value = (text: string) => read({ key: null, headers: [], value: Buffer.from(text) }).value
  const same = (a: string, b: string) => (value(a) as NumberText).equals(value(b) as NumberText)

  it("keep every digit, and may be spelled as they like", () => {
    expect(same("9007199254740993", "9007199254740992")).toBe(false)
    expect(same("1.0E10", "10000000000.0")).toBe(true)
    expect(same("4.9E-324", "5.0E-324")).toBe(true)
    expect(same("-0.0", "0.0")).toBe(false)
  })
})

it("names every rule once", () => {
  expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length)
})
