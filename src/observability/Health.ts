import { Context, Layer } from "effect"

/** A named part of this process, and whether it can do its work now. */
export interface Check {
  readonly name: string
  readonly state: "starting" | "ok" | "failing"
  /** Why not, for a person; of one that is ok, what else there is to know of it, or null. */
  readonly reason: string | null
  /** Since when it is in this state, ISO 8601. */
  readonly since: string
}

/**
 * The checks of this process. Ready means that every one is ok; who runs a part names it when it starts
 * (`expect`), so that readiness waits for it, and reports what becomes of it.
 */
export class Health extends Context.Service<Health, {
  /** This process will run the part `name`; not ready until it reports ok. */
  readonly expect: (name: string) => void
  readonly ok: (name: string, remark?: string) => void
  readonly failing: (name: string, reason: string) => void
  /** In the order in which they became known. */
  readonly checks: () => ReadonlyArray<Check>
}>()("cdc/observability/Health") {
  static readonly layer = Layer.sync(Health, () => {
    const checks = new Map<string, Check>()
    const report = (name: string, state: Check["state"], reason: string | null) => {
      const before = checks.get(name)
      const since = before?.state === state ? before.since : new Date().toISOString()
      checks.set(name, { name, state, reason, since })
    }
    return Health.of({
      expect: (name) => report(name, "starting", "not running yet"),
      ok: (name, remark) => report(name, "ok", remark ?? null),
      failing: (name, reason) => report(name, "failing", reason),
      checks: () => [...checks.values()]
    })
  })
}

export const isReady = (checks: ReadonlyArray<Check>): boolean => checks.every((check) => check.state === "ok")

/** One line per check, as Kubernetes' own `?verbose`. */
export const format = (checks: ReadonlyArray<Check>): string =>
  checks.map((check) => check.state === "ok" ? `[+]${check.name} ok${check.reason === null ? "" : `: ${check.reason}`}` : `[-]${check.name} ${check.state}: ${check.reason}`)
    .concat(isReady(checks) ? "ready" : "not ready")
    .join("\n") + "\n"
