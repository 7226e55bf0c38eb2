/**
 * What `cdc run` costs with nothing to do: capture, three pipelines and HTTP in one process.
 *
 *   npm run bench -- idle [--seconds 60]
 */
import { parseArgs } from "node:util"
import type { Measured } from "./Report.ts"
import type { Servers } from "./Servers.ts"
import { start } from "./System.ts"

export const run = async (servers: Servers, options: ReadonlyArray<string>): Promise<Measured> => {
  const { values } = parseArgs({ args: [...options], options: { seconds: { type: "string", default: "60" } } })
  const seconds = Number(values.seconds)
  await using system = await start(servers, 2_000)
  await system.until(({ settled }) => settled)
  const before = system.usage()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const after = system.usage()
  return {
    title: `All of cdc run with nothing to do for ${seconds} s`,
    rows: [{
      "% of a core": Number((((after.cpuSeconds - before.cpuSeconds) / seconds) * 100).toFixed(1)),
      "RSS MB": Math.round(after.residentBytes / 1e6),
      "peak RSS MB, since its start": Math.round(after.peakBytes / 1e6)
    }]
  }
}
