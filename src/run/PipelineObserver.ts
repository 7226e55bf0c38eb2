import { Context } from "effect"

export type PipelineState = "starting" | "running" | "retrying" | "paused" | "stopped"

/** What a running pipeline tells whoever watches: metrics, readiness. Called once a batch, never per row. */
export interface PipelineObserver {
  /** `why` it does not run; of one that runs, a remark. */
  readonly state: (pipeline: string, state: PipelineState, why?: string) => void
  readonly applied: (pipeline: string, batch: {
    readonly changes: number
    readonly written: number
    readonly held: number
    readonly orphans: number
    /** From taking the batch to its commit. */
    readonly durationSeconds: number
    /** When each change committed at its source, µs since 1970. */
    readonly commitMicros: ReadonlyArray<number>
  }) => void
  readonly deadLetters: (pipeline: string, reason: string, count: number) => void
  readonly failed: (pipeline: string, reason: string, isRetryable: boolean) => void
}

export const PipelineObserver = Context.Reference<PipelineObserver>("cdc/run/PipelineObserver", {
  defaultValue: () => ({ state: () => {}, applied: () => {}, deadLetters: () => {}, failed: () => {} })
})
