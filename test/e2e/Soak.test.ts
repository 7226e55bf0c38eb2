import { expect, it } from "vitest"
import { soak } from "../soak/Soak.ts"

/** A minute of what `npm run soak` does for hours; a failing one is done again with its seed. This seed deals a replay, bursts, a jump of the clock and bad input. */
it("loses nothing and doubles nothing while everything is killed, frozen and cut off", async () => {
  const log: Array<string> = []
  const verdict = await soak({ minutes: 1, seed: 234, tell: (line) => log.push(line) })
  if (verdict.findings.length > 0) throw new Error([...verdict.findings, "", ...log].join("\n"))
  expect(verdict.faults).toBeGreaterThan(3)
  expect(verdict.transactions).toBeGreaterThan(300)
}, 420_000)
