import { Cause, Context, Effect, Layer, Logger, type LogLevel, References, Tracer } from "effect"
import pino from "pino"
import { AppConfig } from "../Config.ts"
import { prettyLine } from "./PrettyLine.ts"

/**
 * Every `Effect.log*` as one pino line on stderr (stdout is for results): `{"level":30,"time":…,"pid":…,"hostname":…,
 * …annotations,"msg":"…"}`, a failure under `err`. Annotate with the keys of {@link keys}; never with a row value.
 * A person's terminal gets coloured lines instead, unless `log.format` says otherwise.
 */
export interface LogSettings {
  readonly level: "trace" | "debug" | "info" | "warn" | "error"
  readonly format: "json" | "pretty" | "auto"
}

/** The keys of a log line beside pino's own, so that queries over logs hold for every stage. */
export const keys = ["slot", "table", "topic", "partition", "offset", "lsn", "xid", "pipeline", "count", "duration_ms"] as const

/** What of the configuration says about logs. */
export const layer: Layer.Layer<never, never, AppConfig> = Layer.unwrap(Effect.map(AppConfig, ({ log }) => layerOf(log)))

/** `destination`: where lines go; the default is stderr, written synchronously, so that the last line before an exit is there. */
export const layerOf = (
  settings: LogSettings,
  destination: pino.DestinationStream = destinationOf(settings.format)
): Layer.Layer<never> =>
  Layer.merge(
    // Effect has filtered by level already, and `err` has its shape.
    Logger.layer([loggerOn(pino({ level: "trace", serializers: { err: (error) => error } }, destination))]),
    Layer.succeed(References.MinimumLogLevel, minimum[settings.level])
  )

const loggerOn = (target: pino.Logger): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const level = levels[logLevel]
    if (level === undefined) return
    const { fields, msg } = readMessage(message)
    const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
    target[level]({
      ...fiber.getRef(References.CurrentLogAnnotations),
      ...fields,
      ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
      ...(cause.reasons.length === 0 ? {} : { err: describe(cause) })
    }, msg)
  })

/** Texts make the message, objects add fields: `Effect.logInfo("published", { topic, count })`. */
const readMessage = (message: unknown): { readonly msg: string; readonly fields: Record<string, unknown> } => {
  const texts: Array<string> = []
  const fields: Record<string, unknown> = {}
  for (const part of Array.isArray(message) ? message : [message]) {
    if (part instanceof Error) fields.err = errorOf(part)
    else if (typeof part === "object" && part !== null) Object.assign(fields, part)
    else texts.push(String(part))
  }
  return { msg: texts.join(" "), fields }
}

const describe = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return error instanceof Error ? errorOf(error) : { type: "Unknown", message: String(error) }
}

/** pino's shape of an error. A failure that a stage foresaw (it has a tag) has no stack here: its message says all. */
const errorOf = (error: Error) => ({
  type: error.name,
  message: error.message,
  ...("_tag" in error ? {} : { stack: error.stack })
})

const levels: Readonly<Record<LogLevel.LogLevel, pino.Level | undefined>> = {
  All: "trace",
  Trace: "trace",
  Debug: "debug",
  Info: "info",
  Warn: "warn",
  Error: "error",
  Fatal: "fatal",
  None: undefined
}

const minimum: Readonly<Record<LogSettings["level"], LogLevel.LogLevel>> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error"
}

const destinationOf = (format: LogSettings["format"]): pino.DestinationStream => {
  const pretty = format === "pretty" || (format === "auto" && process.stderr.isTTY === true)
  if (!pretty) return pino.destination({ dest: process.stderr.fd, sync: true })
  const color = process.stderr.isTTY === true && process.env.NO_COLOR === undefined
  return { write: (line) => void process.stderr.write(prettyLine(line, color)) }
}
