import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { format, parse, parseList, TableName, toSql } from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"

const name = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("plain", "Sp ace", "a,b", "a.b", "a\"b", "ü$x", "1st")).filter((text) => !text.includes("\0"))
const table = fc.tuple(name, name).map(([schema, table]) => TableName(schema, table))

describe("a table's name", () => {
  it("is read back from what it is written as, alone and in a list", () => {
    fc.assert(fc.property(table, (table) => {
      expect(parse(format(table))).toEqual(table)
    }))
    fc.assert(fc.property(fc.array(table), (tables) => {
      expect(parseList(tables.map(format).join(" , "))).toEqual(tables)
    }))
  })

  it("is quoted only where Postgres would quote it", () => {
    expect(format(TableName("outreach", "bit_scores"))).toBe("outreach.bit_scores")
    expect(format(TableName("zoo", "Sp ace-ü$x"))).toBe("zoo.\"Sp ace-ü$x\"")
    expect(toSql(TableName("a", "b\"c"))).toBe("\"a\".\"b\"\"c\"")
  })

  it.each(["", "a", "a.", ".b", "a.b.c", "A.b", "a.B", "a b.c", "\"a.b", "a.\"\"", "1a.b"])("%j is none, and the error shows one", (text) => {
    expect(() => parse(text)).toThrow("outreach.\"Bit Scores\"")
  })
})

describe("a topic's name", () => {
  // Source: seen from Debezium, see debezium's TopicNamingStrategy.
  it("replaces what Kafka does not allow, character by character", () => {
    expect(TopicName.ofTable("hub", TableName("outreach", "bit_scores"))).toBe("hub.outreach.bit_scores")
    expect(TopicName.ofTable("hub", TableName("zoo", "Sp ace-ü$x"))).toBe("hub.zoo.Sp_ace-__x")
    fc.assert(fc.property(table, (table) => {
      expect(TopicName.ofTable("hub", table)).toMatch(/^[A-Za-z0-9._-]+$/)
    }))
  })

  it("names dead letters by topic and pipeline, groups by prefix and pipeline", () => {
    expect(TopicName.ofDeadLetters("hub.outreach.bit_signals", "bit-scores")).toBe("hub.outreach.bit_signals.bit-scores.dlq")
    expect(TopicName.groupOfPipeline("hub", "bit-scores")).toBe("hub.bit-scores")
  })
})
