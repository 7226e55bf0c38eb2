import { readFileSync } from "node:fs"

/** Ours, as in `package.json`: `source.version` of every record. */
export const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }
