/** Writes docs/schemas anew: `npx node scripts/event-schemas.ts`. */
import { writeFileSync } from "node:fs"
import { eventSchemas } from "../pipelines/EventSchemas.ts"

for (const [file, text] of Object.entries(eventSchemas())) writeFileSync(new URL(`../docs/schemas/${file}`, import.meta.url), text)
