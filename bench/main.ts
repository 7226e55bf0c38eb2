/**
 * Measures, prints a table and keeps it: `npm run bench -- NAME… [options]`, or `all` of those that docs/performance.md shows.
 *
 * Starts a Postgres (`fsync=off`) and a Kafka of its own, in `.data/bench`, unless `DATABASE_URL` and `KAFKA_BROKERS` name some.
 * A file's name instead runs that file. Results are in `bench/results/NAME.json`, and `npm run bench -- document` writes them into docs/performance.md.
 */
import { pathToFileURL } from "node:url"
import * as Document from "./Document.ts"
import * as Report from "./Report.ts"
import * as Servers from "./Servers.ts"

/** A bench is given what follows its name, and says what it found. */
interface Bench {
  readonly run: (servers: Servers.Servers, options: ReadonlyArray<string>) => Promise<Report.Measured>
}

const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  drain: () => import("./drain.ts"),
  latency: () => import("./latency.ts"),
  snapshot: () => import("./snapshot.ts"),
  pipelines: () => import("./pipelines.ts"),
  memory: () => import("./memory.ts"),
  burst: () => import("./burst.ts"),
  mirror: () => import("./mirror.ts"),
  idle: () => import("./idle.ts"),
  crossing: () => import("./crossing.ts")
}

const usage = `npm run bench -- ${[...Object.keys(benches), "all", "document"].join(" | ")} [options]`

const [name = "", ...options] = process.argv.slice(2)
const isFile = name.endsWith(".ts")
if (isFile) {
  process.argv.splice(1, 1)
  await import(pathToFileURL(name).href)
}
const names = isFile || name === "document" ? [] : name === "all" ? Object.keys(benches) : [name]
if (names.some((name) => !Object.hasOwn(benches, name))) {
  console.error(usage)
  process.exit(2)
}
for (const name of names) {
  console.error(`\n${name}`)
  const { run } = await benches[name]!()
  await using servers = await Servers.start()
  const measured = await run(servers, options)
  Report.print(measured)
  await Report.keep(name, measured, servers)
}
if (names.length > 1 || name === "document") Document.write()
