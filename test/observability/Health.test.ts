import { Effect } from "effect"
import { assert, it } from "vitest"
import { format, Health, isReady } from "../../src/observability/Health.ts"

it("is ready when every part that was announced is ok, and says why not", () => {
  const health = Effect.runSync(Health.pipe(Effect.provide(Health.layer)))
  assert.isTrue(isReady(health.checks()))
  health.expect("capture")
  health.expect("pipeline a")
  health.ok("pipeline a")
  assert.isFalse(isReady(health.checks()))
  health.failing("capture", "slot gone")
  assert.strictEqual(format(health.checks()), "[-]capture failing: slot gone\n[+]pipeline a ok\nnot ready\n")
  health.ok("capture", "standing by")
  assert.isTrue(isReady(health.checks()))
  assert.strictEqual(format(health.checks()), "[+]capture ok: standing by\n[+]pipeline a ok\nready\n")
})

it("keeps since when a part is in its state, however often it says so", async () => {
  const health = Effect.runSync(Health.pipe(Effect.provide(Health.layer)))
  health.ok("capture")
  const { since } = health.checks()[0]!
  await new Promise((resolve) => setTimeout(resolve, 2)) // another millisecond
  health.ok("capture")
  assert.strictEqual(health.checks()[0]!.since, since)
  health.failing("capture", "gone")
  assert.isAbove(Date.parse(health.checks()[0]!.since), Date.parse(since))
})
