import { createHash } from "node:crypto"

/** The same settings in another order have the same hash. */
export const settingsHash = (settings: unknown): string =>
  createHash("sha256").update(JSON.stringify(sorted(settings))).digest("hex").slice(0, 16)

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]))
}
