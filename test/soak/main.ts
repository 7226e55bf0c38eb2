import { parseArgs } from "node:util"
import { faults } from "./Faults.ts"
import { soak } from "./Soak.ts"

/** `npm run soak -- [--minutes N] [--seed S] [--only FAULT]`: exit code 1 if anything was lost, doubled or wrong. */
const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, seed: { type: "string" }, only: { type: "string" } } })
const { only } = values
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(seed) || (only !== undefined && !faults.some(({ name }) => name === only))) {
  console.error(`Usage: npm run soak -- [--minutes N] [--seed S] [--only FAULT]   (N > 0, S a whole number, FAULT one of:\n  ${faults.map(({ name }) => name).join("\n  ")})`)
  process.exit(2)
}

const clock = () => new Date().toISOString().slice(11, 19)
const verdict = await soak({ minutes, only, seed, tell: (line) => console.error(`${clock()}  ${line}`) })
console.log(`seed ${seed}: ${verdict.faults} faults, ${verdict.transactions} transactions, ${verdict.records} records in ${Math.round(verdict.seconds)} s; ` +
  `${verdict.archives.done} bursts archived, ${verdict.archives.metScore} begun again because of a score; settled ${verdict.recoverySeconds.toFixed(1)} s after the last fault`)
for (const finding of verdict.findings) console.log(`  ${finding}`)
console.log(verdict.findings.length === 0 ? "nothing lost, nothing twice, no differences" : `${verdict.findings.length} findings`)
process.exit(verdict.findings.length === 0 ? 0 : 1)
