/** What a check found wrong, for a person. Never holds a row value. */
export interface Finding {
  /**
   * `error`: `setup` or `run` would fail, or lose or break something; `warning`: it works, and will not always; `advice`: it
   * could be better, and nothing is wrong.
   */
  readonly severity: "error" | "warning" | "advice"
  /** What it is about: a table, a topic, a setting. */
  readonly thing: string
  readonly problem: string
  /** What a person does about it. */
  readonly remedy: string
}

/** One thing that was looked at; without findings, all is well. */
export interface Check {
  readonly name: string
  /** What was found to be well, in a few words. */
  readonly fine: string
  readonly findings: ReadonlyArray<Finding>
}

export const error = (thing: string, problem: string, remedy: string): Finding => ({ severity: "error", thing, problem, remedy })
export const warning = (thing: string, problem: string, remedy: string): Finding => ({ severity: "warning", thing, problem, remedy })
export const advice = (thing: string, problem: string, remedy: string): Finding => ({ severity: "advice", thing, problem, remedy })

/** As one sentence, with its stop, for an error's message. */
export const sentence = ({ problem, remedy, thing }: Finding): string => `${thing} ${problem}: ${remedy}${/[.?]$/.test(remedy) ? "" : "."}`
