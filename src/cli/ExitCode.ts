import { Cause, Exit, Schema } from "effect"
import { CliError } from "effect/cli"

/** What the process's exit code says. Documented in the README; scripts and supervisors rest on it. */
export const exitCodes = {
  done: 0,
  /** Differences, or other findings: `verify`. */
  findings: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** Something it needs is not there; the message names the remedy. */
  cannotStart: 3,
  /** It stopped because a person must decide. */
  needsPerson: 4,
  /** A bug of ours. Source: sysexits.h, EX_SOFTWARE. */
  bug: 70
} as const

/** A command did its work and found something that people must see: exit code 1. It has printed its findings already. */
export class Findings extends Schema.TaggedError<Findings>()("Findings", { message: Schema.String }) {}

interface Ending {
  readonly code: number
  /** One message for a person, on stderr; null: nothing more to say. */
  readonly message: string | null
}

/** How a process that ended so tells it. `stopped`: the code where Ctrl-C or SIGTERM ended it, and everything stopped in order. */
export const endingOf = (exit: Exit.Exit<unknown, unknown>, stopped: number = exitCodes.done): Ending => {
  if (Exit.isSuccess(exit)) return { code: exitCodes.done, message: null }
  if (Cause.hasInterruptsOnly(exit.cause)) return { code: stopped, message: null }
  const defect = exit.cause.reasons.find(Cause.isDieReason)
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) return endingOfError(failure.error)
  return { code: exitCodes.bug, message: bugReport(defect?.defect) }
}

const endingOfError = (error: unknown): Ending => {
  if (CliError.isCliError(error)) {
    // The command line has shown its help, and what was wrong, itself.
    const isMistake = error._tag !== "ShowHelp" || error.errors.length > 0
    return { code: isMistake ? exitCodes.usage : exitCodes.done, message: null }
  }
  const { _tag: tag, message, reason } = error as { _tag?: string; reason?: string; message?: string }
  const code = tag === undefined ? undefined : codeOf(tag, reason)
  if (code === undefined) return { code: exitCodes.bug, message: bugReport(error) }
  return { code, message: tag === "Findings" ? null : message ?? String(error) }
}

type Codes = number | Readonly<Record<string, number>>

/** By error class, or by its reason where that decides; a reason that is not listed cannot start. */
const table: Readonly<Record<string, Codes>> = {
  Findings: exitCodes.findings,
  ConfigurationError: exitCodes.usage,
  PostgresError: exitCodes.cannotStart,
  KafkaError: { mismatch: exitCodes.needsPerson },
  CaptureError: { gap: exitCodes.needsPerson, undecodable: exitCodes.needsPerson },
  DecodeError: exitCodes.needsPerson,
  EncodeError: exitCodes.needsPerson,
  PublishError: { partitionsChanged: exitCodes.needsPerson },
  ConsumeError: { gap: exitCodes.needsPerson },
  PipelineError: { misconfigured: exitCodes.usage, needsReplay: exitCodes.needsPerson },
  HttpApiError: exitCodes.cannotStart,
  EmbeddedServerError: exitCodes.cannotStart
}

const codeOf = (tag: string, reason: string | undefined): number | undefined => {
  const codes = table[tag]
  if (codes === undefined || typeof codes === "number") return codes
  return (reason === undefined ? undefined : codes[reason]) ?? exitCodes.cannotStart
}

const bugReport = (defect: unknown): string => {
  const error = defect instanceof Error ? defect : new Error(String(defect))
  return `This is a bug in cdc. Please report it, with the command you ran and these lines:\n${error.stack ?? error.message}`
}
