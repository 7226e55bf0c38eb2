/**
 * Makes `dist/cdc.js` of `src/main.ts` and all that it imports, for `bin/cdc`: a start takes a third of the time, and the process some
 * 45 MB less (docs/decisions/0015-one-file.md). Nothing is renamed, so that stack traces can be read.
 */
import { mkdtempSync, renameSync, rmSync, utimesSync } from "node:fs"
import { relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))
const begun = new Date()

/** As URLs spell it. */
const fromBundle = (file: string): string => relative(`${root}dist`, file).split(sep).map(encodeURIComponent).join("/")

/** Who reads a file beside his own goes on finding it: the bundle stands elsewhere. */
const whereItWas = {
  name: "import.meta.url as it was",
  transform: (code: string, id: string) =>
    code.includes("import.meta.url")
      ? code.replaceAll("import.meta.url", `new URL(${JSON.stringify(fromBundle(id))}, import.meta.url).href`)
      : null
}

const bundle = await rolldown({
  input: `${root}src/main.ts`,
  platform: "node",
  plugins: [whereItWas],
  external: [
    "pino", // finds its worker beside itself
    "@node-rs/crc32", // native
    "pg-native" // pg looks whether it is there
  ],
  logLevel: "silent"
})
const directory = mkdtempSync(`${root}dist/.`)
try {
  await bundle.write({
    file: `${directory}/cdc.js`,
    codeSplitting: false,
    comments: false,
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: false, asciiOnly: true } }
  })
  // A source that changes meanwhile is newer.
  utimesSync(`${directory}/cdc.js`, begun, begun)
  renameSync(`${directory}/cdc.js`, `${root}dist/cdc.js`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
