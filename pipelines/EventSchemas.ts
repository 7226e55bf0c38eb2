import { Schema } from "effect"
import { dataschema, TierChanged, topic } from "./bit-scores/TierChanged.ts"

/** The JSON Schema (draft 2020-12) of each kind of event's `data`, by its file in docs/schemas; `node scripts/event-schemas.ts` writes them. */
export const eventSchemas = (): Readonly<Record<string, string>> => ({
  [`${topic}.v${dataschema.slice(dataschema.lastIndexOf(":") + 1)}.json`]: jsonSchemaOf(TierChanged, dataschema)
})

const jsonSchemaOf = (schema: Schema.Constraint, id: string): string => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema)
  return `${JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", $id: id, ...root, $defs: definitions }, undefined, 2)}\n`
}
