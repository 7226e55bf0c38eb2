import { describe, expect, it } from "vitest"
import { render } from "../../src/cli/Validate.ts"
import { advice, error, warning } from "../../src/domain/Finding.ts"

const report = {
  checks: [
    { name: "wal_level", fine: "logical", findings: [] },
    { name: "replica identity", fine: "", findings: [
      error("Table public.log", "has no replica identity, so Postgres would reject the hub's UPDATEs and DELETEs once it is published", "give it a primary key"),
      warning("Table public.odd", "is odd", "look at it")
    ] },
    { name: "WAL", fine: "", findings: [advice("max_slot_wal_keep_size", "is unlimited", "set it")] }
  ]
}

describe("a report for a person", () => {
  it("has a line per check, and below it each finding with its remedy, wrapped where the terminal ends", () => {
    expect(render(report, { color: false, columns: 60 })).toBe([
      "✓ wal_level         logical",
      "✗ replica identity",
      "  ✗ Table public.log has no replica identity, so Postgres",
      "    would reject the hub's UPDATEs and DELETEs once it is",
      "    published",
      "    → give it a primary key",
      "  ! Table public.odd is odd",
      "    → look at it",
      "· WAL",
      "  · max_slot_wal_keep_size is unlimited",
      "    → set it",
      "",
      "1 error, 1 warning, 1 piece of advice."
    ].join("\n"))
  })

  it("says so where there is nothing, and has colours only where they are wanted", () => {
    expect(render({ checks: [report.checks[0]!] }, { color: false, columns: 80 })).toBe("✓ wal_level  logical\n\nNo findings.")
    expect(render(report, { color: true, columns: 80 })).toContain("\u001b[31m✗")
    expect(render(report, { color: false, columns: 80 })).not.toContain("\u001b")
  })
})
