import { Effect, Redacted } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { AppConfig } from "../src/Config.ts"

const required = { source: { databaseUrl: "postgres://localhost/hub" }, kafka: { brokers: "localhost:9092" } }

const columnsOf = (columns: Readonly<Record<string, string>>) =>
  Effect.map(AppConfig, (settings) => settings.columns).pipe(Effect.provide(AppConfig.layerOf({ ...required, columns })))

const problemOf = (columns: Readonly<Record<string, string>>) =>
  Effect.runPromise(Effect.flip(columnsOf(columns)).pipe(Effect.map((error) => {
    expect(error).toMatchObject({ _tag: "ConfigurationError" })
    return (error as Error).message
  })))

describe("the columns that must not leave as they are", () => {
  it("are none by default", async () => {
    expect(await Effect.runPromise(columnsOf({}))).toMatchObject({ exclude: [], hash: [], truncate: [] })
  })

  it("are named as Postgres spells them", async () => {
    const columns = await Effect.runPromise(columnsOf({
      exclude: `cl.company_identity.company_name, zoo."Sp ace"."a,b:c"`,
      hash: "bit.bit_contact_score.person_id",
      truncate: `outreach.send_log.subject:40, zoo."Sp ace"."d:9":7`,
      hashSalt: "a long secret salt"
    }))
    expect(columns).toMatchObject({
      exclude: [{ schema: "cl", table: "company_identity", column: "company_name" }, { schema: "zoo", table: "Sp ace", column: "a,b:c" }],
      hash: [{ schema: "bit", table: "bit_contact_score", column: "person_id" }],
      truncate: [
        { schema: "outreach", table: "send_log", column: "subject", characters: 40 },
        { schema: "zoo", table: "Sp ace", column: "d:9", characters: 7 }
      ]
    })
    expect(Redacted.value(columns.hashSalt)).toBe("a long secret salt")
    expect(JSON.stringify(columns)).not.toContain("secret")
  })

  it.each(["company_identity.name", "cl.company_identity", "cl.Company.name", "cl..name", "a.b.c.d"])("%j is refused, and the message shows how", async (name) => {
    expect(await problemOf({ exclude: name })).toMatch(/Not a column's name.*schema\.table\.column/)
  })

  it.each(["a.b.c", "a.b.c:0", "a.b.c:-1", "a.b.c:x"])("%j has no length to be cut to", async (name) => {
    expect(await problemOf({ truncate: name })).toMatch(/No length/)
  })

  it("are hashed with a salt only", async () => {
    expect(await problemOf({ hash: "a.b.c" })).toContain("CDC_COLUMNS_HASH_SALT")
  })

  it("are treated in one way", async () => {
    expect(await problemOf({ exclude: "a.b.c", truncate: "a.b.\"c\":3" })).toContain("a.b.c is listed twice")
  })
})

describe("how values are written", () => {
  const typesOf = (types: Readonly<Record<string, string>>) =>
    Effect.map(AppConfig, (settings) => settings.types).pipe(Effect.provide(AppConfig.layerOf({ ...required, types })))

  it("has Debezium's defaults, but for decimals", async () => {
    expect(await Effect.runPromise(typesOf({}))).toEqual({
      decimalHandlingMode: "string",
      timePrecisionMode: "adaptive",
      intervalHandlingMode: "numeric",
      hstoreHandlingMode: "json",
      binaryHandlingMode: "bytes",
      moneyFractionDigits: 2,
      unavailableValuePlaceholder: "__debezium_unavailable_value"
    })
  })

  it.each([
    ["decimalHandlingMode", "PRECISE"], ["timePrecisionMode", "structured"], ["binaryHandlingMode", "base32"],
    ["moneyFractionDigits", "-1"], ["unavailableValuePlaceholder", "hex:2af"], ["unavailableValuePlaceholder", "hex:"]
  ])("can't be %s = %s, and the message names the option", async (option, value) => {
    const error = await Effect.runPromise(Effect.flip(typesOf({ [option]: value })))
    expect(error).toMatchObject({ _tag: "ConfigurationError", message: expect.stringContaining(option) as unknown })
  })
})

describe("the enabled pipelines", () => {
  it.each([["none", []], ["a, b", ["a", "b"]]])("of %o", async (enabled, names) => {
    const settings = await Effect.runPromise(Effect.provide(AppConfig, AppConfig.layerOf({ ...required, pipelines: { enabled } })))
    expect(settings.pipelines.enabled).toEqual(names)
  })
})

describe("how long a pipeline lingers", () => {
  const lingerOf = (pipelines: object) =>
    Effect.map(AppConfig, (settings) => settings.pipelines.lingerMillis).pipe(Effect.provide(AppConfig.layerOf({ ...required, pipelines })))

  it("is not at all, but for the older tables, unless it says otherwise", async () => {
    expect(await Effect.runPromise(lingerOf({ "campaign-totals": { lingerMillis: 40 }, enabled: "bit-scores, made" }))).toMatchObject(
      { "bit-scores": 0, "campaign-totals": 40, "legacy-mirrors": 250, made: 0 })
  })

  it.each([-1, 0.5, 2_001])("is not %s", async (lingerMillis) => {
    expect(String(await Effect.runPromise(Effect.flip(lingerOf({ "bit-scores": { lingerMillis } }))))).toMatch(/lingerMillis/)
  })
})

describe("the mode of a pipeline", () => {
  const modesOf = (pipelines: object) =>
    Effect.map(AppConfig, (settings) => settings.pipelines.modes).pipe(Effect.provide(AppConfig.layerOf({ ...required, pipelines })))

  it("is live unless it says otherwise", async () => {
    expect(await Effect.runPromise(modesOf({ "bit-scores": { mode: "shadow" }, enabled: "bit-scores, made" }))).toMatchObject(
      { "bit-scores": "shadow", "campaign-totals": "live", made: "live" })
  })

  it("that is none is refused, as is an option beside it: who mistypes shadow must not go live", async () => {
    expect(String(await Effect.runPromise(Effect.flip(modesOf({ "bit-scores": { mode: "shadwo" } }))))).toMatch(/bit-scores.*mode/)
    const folder = mkdtempSync(join(tmpdir(), "config-"))
    const file = join(folder, "cdc.yaml")
    writeFileSync(file, "pipelines:\n  bit-scores:\n    mod: shadow\n  bit-scor:\n    mode: shadow\n")
    const error = await Effect.runPromise(Effect.flip(Effect.provide(AppConfig, AppConfig.layer(file))))
    rmSync(folder, { recursive: true })
    expect(String(error)).toMatch(/pipelines\.bit-scor, pipelines\.bit-scores\.mod are no sections or options/)
  })
})
