import { createHash } from "node:crypto"
import { type LagHistory, type StatusAnswer, statusView } from "./StatusView.ts"

/**
 * The status page: one document without anything from elsewhere, rendered here and brought up to date in the browser
 * from `/status`, once a second, by the same function. Style and script are constants, so that the policy can name
 * their hashes and nothing else can run.
 */
export const render = (status: StatusAnswer): string => document(
  statusView(status, { capture: [], pipelines: {} }),
  status.sampleHub === undefined
    ? ""
    : `<button id="hub" type="button" aria-pressed="${status.sampleHub.paused}">${status.sampleHub.paused ? resumeText : pauseText}</button>`
)

/** The same page while the status can't be had; the script goes on trying. `reason` is a message for people. */
export const renderUnavailable = (reason: string): string =>
  document(`<section class="card wide"><h2>No status</h2><p>${escapeHtml(reason)}</p></section>`, "")

const pauseText = "Pause the sample hub"
const resumeText = "Resume the sample hub"

const document = (main: string, control: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>cdc status</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header><h1>Outreach CDC</h1><p id="offline" role="status" hidden></p>${control}
<nav><a href="/status">status.json</a> <a href="/metrics">metrics</a> <a href="/readyz?verbose">readiness</a></nav></header>
<main>${main}</main>
<script>${script}</script>
</body>
</html>
`

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** Two minutes at one answer a second. */
const historyLength = 120

/** What the script uses of the browser's document. */
interface PageDocument {
  querySelector(selector: string): PageElement | null
}
interface PageElement extends PageDocument {
  innerHTML: string
  textContent: string
  hidden: boolean
  open: boolean
  getAttribute(name: string): string | null
  setAttribute(name: string, value: string): void
  addEventListener(event: "click", listener: () => void): void
}

/** Runs in the browser, from its source text: uses nothing but what the script hands it. */
const refresh = (
  view: typeof statusView,
  length: number,
  texts: { readonly pause: string; readonly resume: string },
  initial: LagHistory
): void => {
  const page = (globalThis as unknown as { readonly document: PageDocument }).document
  const main = page.querySelector("main")!
  const offline = page.querySelector("#offline")!
  const hub = page.querySelector("#hub")
  let history = initial
  const keep = (values: ReadonlyArray<number> | undefined, value: number) => [...(values ?? []), value].slice(-length)

  const show = (status: StatusAnswer): void => {
    const pipelines: Record<string, ReadonlyArray<number>> = {}
    for (const { lagRecords, name } of status.pipelines) pipelines[name] = keep(history.pipelines[name], lagRecords)
    history = { capture: keep(history.capture, status.capture.lagBytes), pipelines }
    const opened = main.querySelector("details")?.open
    main.innerHTML = view(status, history)
    const details = main.querySelector("details")
    if (opened !== undefined && details !== null) details.open = opened
    if (hub && status.sampleHub) {
      hub.textContent = status.sampleHub.paused ? texts.resume : texts.pause
      hub.setAttribute("aria-pressed", String(status.sampleHub.paused))
    }
  }

  const poll = async (): Promise<void> => {
    try {
      const response = await fetch("/status")
      const answer = await response.json() as StatusAnswer & { readonly error?: string }
      if (!response.ok) throw new Error(answer.error ?? `HTTP ${response.status}`)
      show(answer)
      offline.hidden = true
    } catch (error) {
      offline.hidden = false
      offline.textContent = `No answer since the view below: ${(error as Error).message}`
    }
    setTimeout(poll, 1_000)
  }

  hub?.addEventListener("click", () =>
    void fetch(hub.getAttribute("aria-pressed") === "true" ? "/hub/resume" : "/hub/pause", { method: "POST" }))
  void poll()
}

const script = `(${refresh})(${statusView}, ${historyLength}, ${JSON.stringify({ pause: pauseText, resume: resumeText })}, { capture: [], pipelines: {} })`

const style = `
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #e4e9f0); --faint: light-dark(#5b6675, #98a4b3);
  --ground: light-dark(#f4f6f9, #10151c); --card: light-dark(#fff, #19202a); --edge: light-dark(#dde3ea, #2a3441);
  --good: light-dark(#12703f, #5fd394); --busy: light-dark(#8a5a00, #f0bd55); --bad: light-dark(#b3261e, #ff8a80); --line: light-dark(#2f6fde, #7fabff); }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 3rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
header, .summary { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem }
header { margin-bottom: .75rem }
h1 { font-size: 1.3rem; margin: 0 }
h2 { font-size: 1rem; margin: 0 0 .75rem; display: flex; gap: .6rem; align-items: center }
nav { margin-left: auto; display: flex; gap: 1rem }
a { color: var(--line) }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: .5rem; padding: .25rem .75rem; cursor: pointer }
#offline { color: var(--bad); margin: 0 }
.summary time { margin-left: auto; color: var(--faint); font-variant-numeric: tabular-nums }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 1rem; margin-top: 1rem }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: .75rem; padding: 1rem 1.1rem; min-width: 0 }
.wide { grid-column: 1 / -1 }
.badge { font-size: .8rem; font-weight: 600; padding: .1rem .6rem; border-radius: 1rem; border: 1px solid currentColor; white-space: nowrap }
.good { color: var(--good) } .busy { color: var(--busy) } .bad { color: var(--bad) } .quiet { color: var(--faint) }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem 1rem; margin: 0 }
dt { color: var(--faint); font-size: .8rem }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
code { font: .9em ui-monospace, monospace }
p { margin: 0 0 .5rem } ul { margin: 0; padding: 0; list-style: none; display: grid; gap: .4rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .4rem .6rem .4rem 0; border-top: 1px solid var(--edge); font-weight: inherit; white-space: nowrap }
thead th { border: 0; color: var(--faint); font-size: .8rem }
.number { text-align: right }
progress { width: 100%; accent-color: var(--line) } td progress { width: 5rem }
summary { cursor: pointer; color: var(--faint); margin-top: .4rem }
.spark { width: 7.5rem; height: 1.75rem; vertical-align: middle }
.spark polyline { fill: none; stroke: var(--line); stroke-width: 1.5; vector-effect: non-scaling-stroke }
`

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Goes with every page. Nothing is loaded from anywhere; the script may ask only us. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src ${hash(style)}`,
  `script-src ${hash(script)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")
