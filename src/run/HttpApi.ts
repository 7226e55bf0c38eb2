import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { AppConfig } from "../Config.ts"
import { Health, type Check, format, isReady } from "../observability/Health.ts"
import * as Metrics from "../observability/Metrics.ts"
import * as StatusPage from "../observability/StatusPage.ts"
import type { StatusAnswer } from "../observability/StatusView.ts"
import { Connectivity } from "./Connectivity.ts"
import { Progress } from "./Progress.ts"

/** The port could not be had. */
export class HttpApiError extends Schema.TaggedError<HttpApiError>()("HttpApiError", {
  reason: Schema.Literals(["portInUse", "cannotListen"]),
  message: Schema.String
}) {
  get isRetryable(): boolean {
    return false
  }
}

/** Stops and starts the sample hub's activity; only `cdc start` has one. */
export interface HubControl {
  readonly isPaused: Effect.Effect<boolean>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

/** `/livez /healthz /readyz /status /metrics /`, on `http.host` and `http.port`, while the layer lives. */
export const layer = (hub?: HubControl) =>
  Layer.unwrap(Effect.map(AppConfig, ({ http }) =>
    HttpRouter.serve(routes(hub), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(NodeHttpServer.layer(createServer, { host: http.host, port: http.port, gracefulShutdownTimeout: "1 second" })),
      Layer.catchTag("ServeError", (error) => Layer.effectDiscard(Effect.fail(cannotListen(error.cause, http))))
    )))

const routes = (hub: HubControl | undefined) =>
  HttpRouter.use(Effect.fnUntraced(function*(router) {
    const health = yield* Health
    const progress = yield* Progress
    const connectivity = yield* Connectivity

    const checks = Effect.map(connectivity.checks, (servers) => [...servers, ...health.checks()])

    const status: Effect.Effect<StatusAnswer, { readonly message: string }> = Effect.gen(function*() {
      const system = yield* progress.status
      return { ...system, checks: yield* checks, ...(hub === undefined ? {} : { sampleHub: { paused: yield* hub.isPaused } }) }
    }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.flatMap(checks, (found) => Effect.fail(unanswered(found))) }))

    const alive = Effect.succeed(plain("ok\n", 200))
    yield* router.add("GET", "/livez", alive)
    yield* router.add("GET", "/healthz", alive)

    yield* router.add("GET", "/readyz", Effect.map(checks, (found: ReadonlyArray<Check>) =>
      plain(format(found), isReady(found) ? 200 : 503)))

    yield* router.add("GET", "/status", status.pipe(
      Effect.map((answer) => HttpServerResponse.jsonUnsafe(answer, { headers: neverStored })),
      Effect.catch((error) => Effect.succeed(
        HttpServerResponse.jsonUnsafe({ caughtUp: false, settled: false, error: error.message }, { status: 503, headers: neverStored })))
    ))

    yield* router.add("GET", "/metrics", progress.recordMetrics.pipe(
      Effect.timeout(patience),
      // The counters of this process are worth having also while Postgres or Kafka is away.
      Effect.catch((error) => Effect.logDebug("metrics without lag", { reason: error.message })),
      Effect.andThen(Metrics.text),
      Effect.map((text) => HttpServerResponse.text(text, { contentType: Metrics.contentType }))
    ))

    yield* router.add("GET", "/", status.pipe(
      Effect.map(StatusPage.render),
      Effect.catch((error) => Effect.succeed(StatusPage.renderUnavailable(error.message))),
      Effect.map((html) => HttpServerResponse.text(html, { contentType: "text/html; charset=utf-8", headers: pageHeaders }))
    ))

    if (hub !== undefined) {
      yield* router.add("POST", "/hub/pause", onlyFromHere(hub.pause))
      yield* router.add("POST", "/hub/resume", onlyFromHere(hub.resume))
    }
  }))

/** A server that is frozen answers nobody; who asks us is told so. A scrape has ten seconds. */
const patience = "8 seconds"

const unanswered = (found: ReadonlyArray<Check>) => ({
  message: `Postgres or Kafka has not answered within ${patience}: ${found.filter(({ state }) => state !== "ok").map(({ name, reason }) => `${name}: ${reason}`).join("; ") || "see /readyz"}`
})

/** From this machine, and not by some other site's page in this machine's browser. */
const onlyFromHere = (change: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { host, origin } = request.headers
    const address = request.remoteAddress
    const isLocal = address._tag === "Some" && /^(::1|(::ffff:)?127\.)/.test(String(address.value))
    const isOurPage = origin === undefined || URL.parse(origin)?.host === host
    if (!isLocal || !isOurPage) return plain("only from this machine\n", 403)
    yield* change
    return HttpServerResponse.empty()
  })

const plain = (text: string, status: number) => HttpServerResponse.text(text, { status, headers: neverStored })

const neverStored = { "cache-control": "no-store" }
const pageHeaders = {
  ...neverStored,
  "content-security-policy": StatusPage.contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer"
}

const cannotListen = (cause: unknown, { host, port }: AppConfig["Service"]["http"]): HttpApiError => {
  const { code, message } = cause as { code?: string; message?: string }
  return code === "EADDRINUSE"
    ? new HttpApiError({ reason: "portInUse", message: `Port ${port} on ${host} is taken: set PORT to a free one, or stop what listens there (another cdc?).` })
    : new HttpApiError({ reason: "cannotListen", message: `Cannot listen on ${host}:${port}: ${message ?? String(cause)}; check http.host and PORT.` })
}
