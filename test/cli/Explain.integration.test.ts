import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { readFileSync } from "node:fs"
import { runCdc, startCdc } from "../support/CdcProcess.ts"
import { createDatabase, type OwnDatabase } from "../support/TestDatabase.ts"

const outreach = "7b0c1f2e-0000-4000-8000-000000000001"
const schema = readFileSync(new URL("../../src/embedded/hub/schema.sql", import.meta.url), "utf8")

describe("cdc explain", () => {
  let database: OwnDatabase
  let environment: Record<string, string>

  beforeAll(async () => {
    database = await createDatabase()
    environment = { DATABASE_URL: database.url, KAFKA_BROKERS: "127.0.0.1:1", NO_COLOR: "1" } // Kafka is not asked
    await database.query(schema)
    await database.query(`insert into cl.company_identity (company_unique_id, company_name) values ($1, 'A company')`, [outreach])
    await database.query(`insert into outreach.outreach (outreach_id, sovereign_id) values ($1, $1)`, [outreach])
    await database.query(
      `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, decay_period_days, signal_timestamp)
       values (gen_random_uuid(), $1, 'renewal', 60, 'people_node', gen_random_uuid(), 90, now() - interval '9 days'),
         (gen_random_uuid(), $1, 'broken', 'NaN', 'dol', gen_random_uuid(), 90, now()),
         (gen_random_uuid(), $1, 'fading' || chr(27) || '[2J', 1, 'people_node', gen_random_uuid(), 90, now() - interval '89.9 days')`, [outreach])
  })
  afterAll(() => database.drop())

  it("shows the sum, the signals and the next tier", async () => {
    const said = await runCdc(["explain", outreach.toUpperCase()], environment)
    assert.match(said, /^54\.00 HOT {3}outreach/)
    assert.match(said, /No score is stored yet\./)
    assert.match(said, /next: WARM at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/)
    assert.match(said, /54\.00 +60 +90 % +9 d +90 d +people_node +people +renewal/)
    assert.match(said, /does not count: its impact is not a finite number/)
    assert.match(said, /0\.00 +1 +<1 % +89\.9 d +90 d +people_node +people +fading\\u001b\[2J/, "it counts yet, and clears nobody's screen")
    assert.match(said, /people 54\.00 = 54\.00/)
    assert.match(said, /HOT 50┤/)
  })

  it("says the same to a machine", async () => {
    const found = JSON.parse(await runCdc(["explain", outreach, "--json"], environment))
    assert.deepInclude(found, { outreachId: outreach, score: "54.00", tier: "HOT", stored: null })
    assert.strictEqual(found.signals.length, 3)
    assert.strictEqual(found.nextTierChange.to, "WARM")
  })

  it("tells a wrong id from an unknown outreach", async () => {
    assert.strictEqual(await startCdc(["explain", "seven"], environment).ended, 2)
    const unknown = startCdc(["explain", outreach.replace("1", "2")], environment)
    assert.strictEqual(await unknown.ended, 1)
    assert.match(unknown.said(), /There is no outreach/)
  })
})
