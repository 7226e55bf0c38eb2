import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { ColumnType } from "../../src/domain/RowChange.ts"
import * as TypeMapping from "../../src/publish/TypeMapping.ts"
import type { Modes } from "../../src/publish/types/Modes.ts"
import { defaultModes } from "./DefaultTypes.ts"

/** What Debezium 3.6.1 wrote: `test/fixtures/capture-debezium-modes.ts`. */
interface Observation {
  /** Debezium's options, by its names. */
  readonly options: Readonly<Record<string, string>>
  readonly values: ReadonlyArray<Literal>
  /** Of values that an update left alone, stored out of line. */
  readonly unchanged: ReadonlyArray<{ readonly type: string; readonly column: ColumnType; readonly json: string }>
}

interface Literal {
  readonly type: string
  readonly literal: string
  readonly column: ColumnType
  /** Postgres'. */
  readonly text: string
  /** Absent: Debezium has no such field. */
  readonly stream?: string
}

const observations = JSON.parse(readFileSync(new URL("../fixtures/values/modes.json", import.meta.url), "utf8")) as ReadonlyArray<Observation>

const camelCase = (option: string): string => option.replace(/\.(\w)/g, (_, letter: string) => letter.toUpperCase())
const modesOf = (options: Observation["options"]): Modes => ({
  ...defaultModes,
  ...Object.fromEntries(Object.entries(options).map(([option, value]) => [camelCase(option), /^\d+$/.test(value) ? Number(value) : value]))
})

/** Types that Debezium leaves out or gets wrong; ours are Postgres' text, or the right value. */
const ours: Readonly<Record<string, RegExp>> = { "modes.dom[]": /^\["?[\w.=]+"?\]$|^\[1\.5\]$/, xid: /^"7"$/, int2vector: /^"1 2"$/, cube: /^"\(1, 2\),\(3, 4\)"$/ }
/** Where it loses the placeholder under some modes, so that the value looks like NULL. */
const neverNull = new Set(["bytea", "bytea[]", "date[]"])

describe.each(observations)("under $options", ({ options, unchanged, values }) => {
  const types = TypeMapping.make(modesOf(options))

  it.each(values)("$type $literal is what Debezium writes", ({ column, stream, text, type }) => {
    const json = types.encoderOf(column)(text)
    if (type in ours) expect(json).toMatch(ours[type]!)
    else expect(json).toBe(stream)
  })

  it.each(unchanged)("$type that was not sent has Debezium's placeholder", ({ column, json, type }) => {
    const placeholder = types.unchangedOf(column)
    if (json === "null" && neverNull.has(type)) expect(placeholder).toMatch(/^"[\w=-]{4,}"$|^\[.{4,}\]$/)
    else expect(placeholder).toBe(json)
  })
})

describe("what has no number", () => {
  const written = (modes: Partial<Modes>, column: Partial<ColumnType>, text: string): string =>
    TypeMapping.make({ ...defaultModes, ...modes }).encoderOf({ name: "numeric", kind: "base", modifier: -1, ...column })(text)
  const twoDecimals = { modifier: (10 << 16) + 2 + 4 }

  it.each(["NaN", "Infinity", "-Infinity"])("%s is never base64, and stops nothing, under precise", (text) => {
    for (const column of [{}, twoDecimals]) {
      const json = JSON.parse(written({ decimalHandlingMode: "precise" }, column, text)) as string
      expect(json).toBe({ NaN: "NAN", Infinity: "POSITIVE_INFINITY", "-Infinity": "NEGATIVE_INFINITY" }[text])
      expect(json.includes("_") || json.length % 4 !== 0).toBe(true)
    }
  })

  it.each(["NaN", "Infinity", "-Infinity"])("%s is as a double precision has it under double", (text) => {
    expect(written({ decimalHandlingMode: "double" }, {}, text)).toBe(`"${text}"`)
  })

  it("is infinite under double where it is too large for one", () => {
    expect(written({ decimalHandlingMode: "double" }, {}, `-1${"0".repeat(400)}`)).toBe("\"-Infinity\"")
  })

  it("is Postgres' text where nanoseconds can't count that far", () => {
    expect(written({ timePrecisionMode: "nanoseconds" }, { name: "timestamp" }, "2300-01-01 00:00:00")).toBe("\"2300-01-01 00:00:00\"")
    expect(written({ timePrecisionMode: "nanoseconds" }, { name: "timestamp" }, "1600-01-01 00:00:00")).toBe("\"1600-01-01 00:00:00\"")
  })

  it("has the scale of its column, also a negative one", () => {
    const precise = (modifier: number, text: string) =>
      Buffer.from(JSON.parse(written({ decimalHandlingMode: "precise" }, { modifier }, text)) as string, "base64").toString("hex")
    expect(precise(twoDecimals.modifier, "2.55")).toBe("00ff")
    expect(precise((3 << 16) + (-2 & 0x7ff) + 4, "12300")).toBe("7b")
  })

  it("has the digits that money.fraction.digits says, half of the last one away from zero", () => {
    const rounded = (moneyFractionDigits: number, text: string) =>
      Buffer.from(JSON.parse(written({ decimalHandlingMode: "precise", moneyFractionDigits }, { name: "money" }, text)) as string, "base64").readInt8()
    expect([rounded(1, "$0.25"), rounded(1, "-$0.25"), rounded(1, "-$0.24"), rounded(0, "$1.50"), rounded(3, "$0.01")]).toEqual([3, -3, -2, 2, 10])
  })
})
