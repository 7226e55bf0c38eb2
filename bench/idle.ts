/**
 * What `cdc` costs with nothing to do for a minute: capture, three pipelines and HTTP in one process.
 *
 *   DATABASE_URL=postgres://… KAFKA_BROKERS=host:port npm run bench -- bench/idle.ts [seconds]
 */
import { start } from "./System.ts"

const seconds = Number(process.argv[2] ?? 60)
const system = await start(2_000)
try {
  await system.until(({ settled }) => settled)
  const before = await system.usage()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const after = await system.usage()
  console.log(`idle for ${seconds} s: ${(((after.cpuSeconds - before.cpuSeconds) / seconds) * 100).toFixed(1)} % of a core, ${Math.round(after.residentBytes / 1e6)} MB resident`)
} finally {
  await system.close()
}
