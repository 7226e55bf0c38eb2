import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { eventSchemas } from "../../../pipelines/EventSchemas.ts"

it.for(Object.entries(eventSchemas()))("docs/schemas/%s is what the code says; `node scripts/event-schemas.ts` writes it", ([file, text]) => {
  expect(readFileSync(new URL(`../../../docs/schemas/${file}`, import.meta.url), "utf8")).toBe(text)
})
